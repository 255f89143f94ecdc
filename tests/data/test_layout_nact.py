"""NACT: one volume per patient, split by the patient's number."""

import numpy as np
import pytest
from tests.data.dicom_files import write_dicom

from noise2mask.data.datalist import datalist
from noise2mask.data.layout_nact import nact_datalist
from noise2mask.data.splits import KEYS

PATIENTS = [n for n in range(1, 69) if n not in (5, 10, 16, 38)]  # the 64 that there are


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for n in PATIENTS:
            (tmp_path / name / f"UCSF-BR-{n:02d}.nii.gz").touch()
    return tmp_path


def test_patients_are_split_44_7_13(folder):
    content = nact_datalist(folder)
    assert [len(content[key]) for key in KEYS] == [44, 7, 13] and content["split_by"] == "patient"
    last, first = content["training"][-1], content["testing"][0]
    assert (last["patient"], first["patient"]) == ("UCSF-BR-48", "UCSF-BR-56")
    assert last["label"].endswith("masks/UCSF-BR-48.nii.gz")


def test_a_volume_may_be_a_folder_of_dicom_files(folder):
    (folder / "images" / "UCSF-BR-56.nii.gz").unlink()
    write_dicom(folder / "images" / "UCSF-BR-56", np.zeros((1, 2, 4, 4)))
    items = datalist(folder, "testing", layout="nact")
    assert items[0]["image"] == str(folder / "images" / "UCSF-BR-56") and len(items) == 13


def test_another_name_is_refused(folder):
    for name in ("images", "masks"):
        (folder / name / "patient7.nii.gz").touch()
    with pytest.raises(ValueError, match=r"images/patient7.nii.gz is not called UCSF-BR-<number>"):
        nact_datalist(folder)
