"""BraTS cases as downloaded: four modalities in a fixed order, whole patients in one split."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from noise2mask.data.datalist import build, datalist, write_datalist
from noise2mask.data.fingerprint import survey
from noise2mask.data.inputs import find_inputs
from noise2mask.data.layout_brats2021 import MODALITIES, brats2021_datalist
from noise2mask.data.layouts import MASK_VALUES, layout_of
from noise2mask.data.splits import KEYS


def write(case, kinds=(*MODALITIES, "seg"), ending=".nii.gz"):
    case.mkdir()
    for kind in kinds:
        values = [0, 0, 0, 0, 1, 2, 4, 4] if kind == "seg" else np.arange(8) * (1 + len(kind))
        image = nib.Nifti1Image(np.array(values, np.uint8).reshape(2, 2, 2), np.eye(4))
        nib.save(image, case / f"{case.name}_{kind}{ending}")


@pytest.fixture
def folder(tmp_path):
    for n in range(10):
        write(tmp_path / f"BraTS2021_{n:05d}")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_modalities_are_listed_in_order_and_cases_are_patients(folder):
    content = brats2021_datalist(folder)
    assert [len(content[key]) for key in KEYS] == [7, 1, 2] and content["group_by"] == "patient"
    item = content["testing"][0]
    case = item["patient"]
    assert item["image"] == [str(folder / case / f"{case}_{kind}.nii.gz") for kind in ("t1", "t1ce", "t2", "flair")]
    assert item["label"] == str(folder / case / f"{case}_seg.nii.gz") and layout_of(folder) == "brats2021"
    assert content == brats2021_datalist(folder) != brats2021_datalist(folder, seed=1)


def test_a_case_and_a_folder_of_cases_without_labels_are_segmented_with_all_modalities(tmp_path):
    for n in (10, 9):
        write(tmp_path / f"BraTS2021_{n:05d}", MODALITIES)
    found = find_inputs(tmp_path)
    assert [[Path(path).name for path in item["image"]] for item in found] == [
        [f"BraTS2021_{n:05d}_{kind}.nii.gz" for kind in MODALITIES] for n in (9, 10)
    ]
    assert find_inputs(tmp_path / "BraTS2021_00009") == found[:1]
    Path(found[1]["image"][2]).unlink()
    with pytest.raises(ValueError, match=r"BraTS2021_00010_t2\.nii\.gz is missing; expected t1, t1ce, t2, flair"):
        find_inputs(tmp_path)


def test_the_datalist_survives_its_file(folder):
    content = build(folder, "brats2021", "folder")
    path = write_datalist(content, folder / "datalist.json")
    assert datalist(path, "training") == content["training"] and layout_of(path) == "brats2021"


def test_files_that_are_not_packed_and_the_names_of_2020_are_known(tmp_path):
    write(tmp_path / "BraTS20_Training_001", ending=".nii")
    content = brats2021_datalist(tmp_path)
    (item,) = (item for key in KEYS for item in content[key])
    assert item["image"][3].endswith("BraTS20_Training_001_flair.nii")
    write(tmp_path / "BraTS20_Validation_002", MODALITIES)
    assert [len(item["image"]) for item in find_inputs(tmp_path)] == [4, 4]


def test_a_missing_modality_a_missing_mask_and_an_empty_folder_are_named(folder, tmp_path_factory):
    (folder / "BraTS2021_00003" / "BraTS2021_00003_t2.nii.gz").unlink()
    (folder / "BraTS2021_00004" / "BraTS2021_00004_seg.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"00003_t2.nii.gz is missing; expected t1, t1ce, t2, flair and seg") as error:
        brats2021_datalist(folder)
    assert "BraTS2021_00004/BraTS2021_00004_seg.nii.gz is missing" in str(error.value)
    with pytest.raises(ValueError, match="no folder such as BraTS2021_00000"):
        brats2021_datalist(tmp_path_factory.mktemp("empty"))


def test_a_check_counts_channels_and_finds_the_whole_tumour(folder):
    found = survey(build(folder, "brats2021", "folder"), values=MASK_VALUES["brats2021"])
    assert found.problems == [] and found.fingerprint["channels"] == {"4": 10}
    assert found.fingerprint["lesion_share_of_image"]["median"] == 0.5 and found.fingerprint["size"][0]["max"] == 2


def test_a_check_names_a_case_of_fewer_modalities_and_one_whose_modalities_differ_in_geometry(folder):
    content = build(folder, "brats2021", "folder")
    content["training"][0]["image"] = content["training"][0]["image"][:3]
    other = content["training"][1]["image"][2]
    nib.save(nib.Nifti1Image(np.arange(8.0).reshape(2, 2, 2), np.diag([1, 1, 2, 1])), other)
    first, second = survey(content, values=MASK_VALUES["brats2021"]).problems
    assert f"{other} has another position, spacing or orientation than {content['training'][1]['image'][0]}" in first
    assert "has 3 channels; expected 4, as in most cases" in second
