"""A data set in numbers, and what is wrong with it."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from noise2mask.data.datalist import build, load_datalist, write_datalist
from noise2mask.data.fingerprint import regrouped, survey
from noise2mask.data.results import write_label_map
from noise2mask.data.splits import KEYS

from .test_near_duplicates import picture


@pytest.fixture
def folder(tmp_path):
    """Ten pictures of which 0 and 1, and 2 and 3, are nearly the same; the last has no lesion."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for n in range(10):
        image = picture(n // 2 * 2 if n < 4 else n) + n
        mask = np.zeros(image.shape, np.uint8)
        mask[:30, :5] = 255 * (n < 9)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "images" / f"{n}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{n}.png")
    return tmp_path


def test_counts_sizes_grey_values_and_lesions(folder):
    numbers = survey(build(folder, "folder", "folder")).fingerprint
    assert sum(numbers["images"].values()) == 10 and sum(numbers["with_lesion"].values()) == 9
    assert numbers["lesion_share_of_image"]["median"] == pytest.approx(30 * 5 / 3000)
    assert [axis["max"] for axis in numbers["size"]] == [50, 60] and numbers["kinds"] == {".png": 10}
    assert numbers["spacing_mm"] == [] and numbers["grey_values"]["maximum"]["max"] <= 255
    assert str(folder) not in str(numbers)


def test_spacings_of_volumes_are_in_mm(tmp_path):
    for part, values in (("images", np.arange(60.0).reshape(3, 4, 5)), ("masks", np.zeros((3, 4, 5)))):
        (tmp_path / part).mkdir()
        for n in range(3):
            nib.save(nib.Nifti1Image(values, np.diag([0.5, 0.7, 2 + n, 1])), tmp_path / part / f"{n}.nii.gz")
    numbers = survey(build(tmp_path, "folder", "folder")).fingerprint
    assert numbers["spacing_mm"][2] == {"min": 2, "median": 3, "max": 4} and numbers["size"][1]["min"] == 4


def test_near_duplicates_are_split_together_where_nothing_else_is_known(folder):
    content = build(folder, "folder", "folder")
    found = survey(content, regroup=True)
    where = {item["image"][-5]: key for key in KEYS for item in found.content[key]}
    assert where["0"] == where["1"] and where["2"] == where["3"] and len(where) == 10
    assert found.doubtful == [] and found.content["split_by"] == "near-duplicates"
    assert survey(content).content == content
    path = write_datalist(found.content, folder / "datalist.json")
    assert [item["patient"] for key in KEYS for item in load_datalist(path, key)]  # what is written can be read


def test_near_duplicates_in_two_splits_of_a_manifest_are_named(folder):
    rows = [f"{n},p{n},{'test' if n == 1 else 'val' if n == 9 else 'train'}" for n in range(10)]
    (folder / "manifest.csv").write_text("\n".join(["image,patient,split", *rows]))
    found = survey(build(folder, "folder", "folder"), regroup=True)
    assert found.problems == [] and len(found.doubtful) == 1
    assert "0.png (training) and" in found.doubtful[0] and "1.png (testing)" in found.doubtful[0]


def test_all_problems_are_found_and_the_rest_is_counted(folder):
    (folder / "images" / "4.png").write_bytes(b"no picture")
    Image.fromarray(np.full((60, 50), 7, np.uint8)).save(folder / "masks" / "5.png")
    found = survey(build(folder, "folder", "folder"), regroup=True)
    assert len(found.problems) == 2 and "4.png can not be read" in found.problems[0] + found.problems[1]
    assert sum(found.fingerprint["with_lesion"].values()) == 7


def test_of_label_maps_in_colours_the_numbers_count(folder):
    for n in range(10):
        numbers = np.full((50, 60), n % 2, np.uint8)  # (W, H)
        write_label_map(numbers, f"{n}.png", np.eye(4), folder).rename(folder / "masks" / f"{n}.png")
    found = survey(build(folder, "folder", "folder"), values=([1], [0]))
    assert found.problems == [] and sum(found.fingerprint["with_lesion"].values()) == 5


def test_images_of_another_bit_depth_are_to_be_looked_at_and_stop_nothing(folder):
    for n in (6, 8):
        wide = np.asarray(Image.open(folder / "images" / f"{n}.png")).astype(np.uint16) * 257
        Image.fromarray(wide).save(folder / "images" / f"{n}.png")
    found = survey(build(folder, "folder", "folder"), regroup=True)
    assert found.problems == [] and len(found.doubtful) == 2
    assert all("one bit depth" in text and "expected a range of about" in text for text in found.doubtful)


def test_groups_take_the_patients_place():
    items = [{"image": f"{n}.png", "label": "m"} for n in range(4)]
    group = {"0.png": "0.png", "1.png": "0.png", "2.png": "2.png", "3.png": "3.png"}
    content = regrouped({"training": items, "validation": [], "testing": [], "split_by": "image"}, group)
    assert sorted(len(content[key]) for key in KEYS) == [1, 1, 2]
    assert {item["image"]: item["patient"] for key in KEYS for item in content[key]} == group
