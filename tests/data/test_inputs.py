"""What is found to be segmented, and what is not taken for an image."""

import json

import numpy as np
import pytest
from tests.data.dicom_files import write_dicom

from noise2mask.data.inputs import find_inputs


def touch(folder, *names):
    for name in names:
        (folder / name).touch()
    return folder


def names(path):
    return [item["image"].rsplit("/", 1)[1] for item in find_inputs(path)]


def test_images_of_a_folder_are_found_in_order_and_other_files_are_not(tmp_path):
    assert names(touch(tmp_path, "b.png", "a.nii.gz", "c.JPG", ".d.png", "notes.txt")) == ["a.nii.gz", "b.png", "c.JPG"]


def test_masks_of_images_beside_them_are_left_out(tmp_path):
    touch(tmp_path, "a (1).png", "a (1)_mask.png", "a (1)_mask_1.png", "of_a_mask.png")
    assert names(tmp_path) == ["a (1).png", "of_a_mask.png"]


def test_folders_of_dicom_files_are_cases(tmp_path):
    for name in ("one", "two"):
        write_dicom(tmp_path / name, np.ones((1, 2, 4, 5)))
    assert names(tmp_path) == ["one", "two"] and names(tmp_path / "one") == ["one"]


def test_dicom_files_among_pictures_are_refused(tmp_path):
    write_dicom(tmp_path, np.ones((1, 2, 4, 5)))
    touch(tmp_path, "a.png")
    with pytest.raises(ValueError, match="holds DICOM files of a volume and other images: give them apart"):
        find_inputs(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("none", "does not exist"), (".", "holds no image; expected .* or DICOM files, which have DICM after")],
)
def test_where_there_is_nothing_the_path_is_named(tmp_path, name, words):
    with pytest.raises(ValueError, match=words):
        find_inputs(tmp_path / name)


def test_tiles_of_a_datalist_keep_their_slides(tmp_path):
    items = [{"image": "a.png", "label": "m.png", "slide": "s"}, {"image": "b.png"}]
    (tmp_path / "list.json").write_text(json.dumps({"testing": items}))
    first, second = find_inputs(tmp_path / "list.json")
    assert first == {"image": str(tmp_path / "a.png"), "slide": "s"} and second == {"image": str(tmp_path / "b.png")}
