"""The generated abdomen: the same for the same seed, four organs of different size, volumes in millimetres."""

import csv

import nibabel as nib
import numpy as np
import pytest

from noise2mask.data.datalist import build
from noise2mask.data.demo_abdomen import STRUCTURES, make_volume, write_demo
from noise2mask.data.splits import KEYS


@pytest.mark.parametrize("patient", range(4))
def test_every_organ_is_there_and_they_differ_in_size(patient):
    _, mask = make_volume(0, patient)
    sizes = [int((mask == number).sum()) for number in range(1, len(STRUCTURES) + 1)]
    assert sizes[0] > 3 * sizes[1] and min(sizes[1:3]) > 250 and 100 < sizes[3] < sizes[0] / 5
    assert set(np.unique(mask)) == set(range(5))


def test_organs_stand_out_from_their_surroundings_but_not_from_everything():
    image, mask = make_volume(0, 0)
    means = [image[mask == number].mean() for number in range(1, 5)]
    assert min(means) > 70 and image[0, 0].mean() < -900  # air in the corner
    assert (image[mask == 0] > 100).any()  # spine and stomach are as bright


def test_volumes_follow_from_seed_and_patient():
    same, other = make_volume(3, 1), make_volume(3, 2)
    assert all(np.array_equal(a, b) for a, b in zip(same, make_volume(3, 1), strict=True))
    assert not np.array_equal(same[1], other[1]) and not np.array_equal(same[1], make_volume(4, 1)[1])


def test_files_are_a_plain_folder_with_a_split_by_patient(tmp_path):
    folder = write_demo(tmp_path / "data", patients=10)
    content = build(folder, "folder", "folder")
    assert [len(content[key]) for key in KEYS] == [7, 1, 2] and content["split_by"] == "manifest"
    image, mask = (nib.load(folder / kind / "abdomen_000.nii.gz") for kind in ("images", "masks"))
    assert image.shape == mask.shape == (64, 52, 24) and image.header.get_zooms() == (5, 5, 8)
    assert np.array_equal(mask.dataobj, make_volume(0, 0)[1])
    with open(folder / "manifest.csv", newline="") as file:
        assert {row["patient"] for row in csv.DictReader(file)} == {f"abdomen_{n:03d}" for n in range(10)}


def test_another_layout_is_refused(tmp_path):
    with pytest.raises(ValueError, match="volumes are written as a plain folder alone"):
        write_demo(tmp_path / "data", layout="busi")
