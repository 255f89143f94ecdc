"""Both layouts hold what the cases hold, and a folder with other content is left alone."""

import csv

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.demo_files import Case, balanced_order, claim_folder, write_cases
from noise2mask.data.layout_busi import busi_datalist
from noise2mask.data.layout_folder import folder_datalist
from noise2mask.data.splits import KEYS


def case(kind, lesions, value=7):
    masks = np.zeros((lesions, 8, 10), bool)
    for i in range(lesions):
        masks[i, 2 * i, 3] = True
    return Case(np.full((8, 10), value, np.uint8), list(masks), kind)


CASES = [(0, case("benign", 2)), (0, case("benign", 1)), (1, case("normal", 0)), (2, case("malignant", 1))]


def read(path):
    return np.asarray(Image.open(path))


def test_the_busi_layout_has_a_file_for_every_mask(tmp_path):
    write_cases(tmp_path, CASES, "busi", {})
    names = sorted(path.name for path in (tmp_path / "benign").iterdir())
    assert names == [f"benign ({end}.png" for end in ("1)", "1)_mask", "1)_mask_1", "2)", "2)_mask")]
    assert read(tmp_path / "benign" / "benign (1).png").shape == (8, 10, 3)
    assert not read(tmp_path / "normal" / "normal (1)_mask.png").any()
    assert sum(len(busi_datalist(tmp_path)[key]) for key in KEYS) == 4


def test_the_folder_layout_joins_the_masks(tmp_path):
    write_cases(tmp_path, CASES, "folder", {})
    image, mask = (read(tmp_path / name / "benign_001.png") for name in ("images", "masks"))
    assert np.all(image == 7) and mask.dtype == np.uint8
    assert np.array_equal(mask == 255, np.any(CASES[0][1].masks, axis=0)) and set(np.unique(mask)) == {0, 255}


def test_the_manifest_names_patient_and_split(tmp_path):
    write_cases(tmp_path, CASES, "folder", {})
    with open(tmp_path / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in rows] == ["p0000", "p0000", "p0001", "p0002"]
    assert rows[0]["split"] == rows[1]["split"] and {row["split"] for row in rows} == set(KEYS)
    assert folder_datalist(tmp_path)["split_by"] == "manifest"


def test_the_same_arguments_may_be_written_again_and_others_not(tmp_path):
    claim_folder(tmp_path / "a", {"seed": 0})
    (tmp_path / "a" / "datalist.json").touch()
    claim_folder(tmp_path / "a", {"seed": 0})
    with pytest.raises(ValueError, match="made with other arguments"):
        claim_folder(tmp_path / "a", {"seed": 1})


def test_a_folder_with_other_content_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="is not empty .it holds thesis.tex"):
        write_cases(tmp_path, CASES, "folder", {})
    with pytest.raises(ValueError, match="is a file, expected a folder"):
        write_cases(tmp_path / "thesis.tex", CASES, "folder", {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unknown_layout_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one of folder, busi"):
        write_cases(tmp_path / "new", CASES, "coco", {})
    assert not (tmp_path / "new").exists()


def test_every_stretch_of_the_order_has_all_kinds():
    kinds = {i: ("benign", "malignant", "benign", "normal")[i % 4] for i in range(80)}
    order = balanced_order(kinds, 0)
    assert sorted(order) == list(range(80)) and order == balanced_order(kinds, 0) != balanced_order(kinds, 1)
    assert all({kinds[i] for i in order[j : j + 16]} == set(kinds.values()) for j in range(0, 80, 16))
