"""Objects can be made of any header, and no value of it is said."""

import subprocess
import sys

import numpy as np
import pydicom
import pytest

from noise2mask.clinical.headers import MAY_BE_EMPTY
from noise2mask.clinical.objects import mask_object, picture_object
from noise2mask.clinical.series import stage

from .scanner import change, magnetic_resonance
from .test_objects import MAKER

VOLUME = np.arange(2 * 6 * 5, dtype=np.int16).reshape(2, 6, 5)
PICTURE = np.zeros((6, 5, 3), np.uint8)
SAY = """
import sys, pathlib
from noise2mask.clinical.results import check_objects
from noise2mask.clinical.series import stage
here = pathlib.Path(sys.argv[1])
(case,) = stage(list((here / "in").iterdir()), here / "work")
structure = {"label": "x", "category": ["49755003", "SCT", "y"], "type": ["52988006", "SCT", "z"]}
check_objects(case, "b", {"version": "1", "coded_structures": {"lesion": structure}})
print("here")
"""


def made_of(tmp_path, **values):
    """Segmentation and picture of a series with these values, written and read again."""
    magnetic_resonance(tmp_path / "in", VOLUME)
    for path in (tmp_path / "in").iterdir():
        change(path, **values)
    source = stage(list((tmp_path / "in").iterdir()), tmp_path / "work")[0].datasets
    for name, made in (("m", mask_object(source, VOLUME * 0, MAKER)), ("p", picture_object(source, PICTURE, MAKER))):
        made.save_as(tmp_path / name)
        yield pydicom.dcmread(tmp_path / name)


@pytest.mark.parametrize("keyword", MAY_BE_EMPTY)
def test_what_is_missing_is_empty(keyword, tmp_path):
    for made in made_of(tmp_path, **{keyword: None}):
        assert not made.get(keyword)


@pytest.mark.parametrize("charset", [["", "ISO 2022 IR 87"], ["ISO 2022 IR 6", "ISO 2022 IR 149"], "ISO_IR 192"])
def test_names_of_all_writings_become_unicode(charset, tmp_path):
    name = "Kim^Hee=金^喜=김^희" if "ISO 2022 IR 149" in charset else "Yamada^Tarou=山田^太郎=やまだ^たろう"
    for made in made_of(tmp_path, SpecificCharacterSet=charset, PatientName=name):
        assert str(made.PatientName) == name and made.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientBirthDate", "19701399", ""),
        ("PatientBirthDate", "unknown", ""),
        ("StudyTime", "12:00", ""),
        ("StudyDate", "2026", ""),
        ("PatientSex", "female", ""),
        ("PatientName", "Jane Doe", "Jane Doe"),
        ("AccessionNumber", "1" * 20, "1" * 20),
        ("PatientID", "1" * 70, "1" * 70),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_invalid_is_emptied_and_what_is_only_odd_is_kept(keyword, value, expected, tmp_path):
    for made in made_of(tmp_path, **{keyword: value}):
        assert str(made.get(keyword) or "") == expected


@pytest.mark.filterwarnings("ignore")
def test_no_name_and_no_date_is_said(tmp_path):
    magnetic_resonance(tmp_path / "in", VOLUME)
    for path in (tmp_path / "in").iterdir():
        change(path, PatientName="Jane Doe", PatientBirthDate="19701399", SpecificCharacterSet="ISO_IR 999")
    command = [sys.executable, "-W", "always", "-c", SAY, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "here" in run.stdout and "19701399" not in run.stdout + run.stderr and "Doe" not in run.stdout + run.stderr
