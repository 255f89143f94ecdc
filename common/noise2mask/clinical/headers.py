"""What a DICOM file says of its image, mended so that an object can be made of it whatever is missing or wrong.

De-identified files lack attributes that every object must have, others hold dates that are none. pydicom and highdicom
say so in warnings that quote the value, which may be a patient's name: here they say nothing.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from highdicom import PatientSexValues
from pydicom.config import IGNORE, settings
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

for _name in ("pydicom", "highdicom"):  # they log values
    logging.getLogger(_name).setLevel(logging.CRITICAL)

DIRECTORY = "1.2.840.10008.1.3.10"  # DICOMDIR, the table of contents of a hospital's CD
PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
READ = PLAIN | {  # transfer syntaxes that GDCM (ITK 5.4) reads: JPEG, JPEG-LS, JPEG 2000, run lengths
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
}  # fmt: skip
EVERY_OBJECT = "SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID Modality".split()
MAY_BE_EMPTY = """PatientName PatientID PatientBirthDate PatientSex AccessionNumber StudyID StudyDate StudyTime
    ReferringPhysicianName SliceThickness""".split()  # but may not be missing where objects are made
DATES = [f"{what}Date" for what in ("PatientBirth", "Study", "Series", "Acquisition", "Content")]
TIMES = [f"{what}Time" for what in ("Study", "Series", "Acquisition", "Content")]
UNICODE = "ISO_IR 192"


@contextmanager
def discreet() -> Iterator[None]:
    """No value that is read or written is quoted in a warning; values that are too long for the standard are kept."""
    modes = settings.reading_validation_mode, settings.writing_validation_mode
    settings.reading_validation_mode = settings.writing_validation_mode = IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.reading_validation_mode, settings.writing_validation_mode = modes


def header(path: Path) -> Dataset | None:
    """What a file says of its image, mended and without the pixels; None where it is a DICOMDIR.

    Raises:
        ValueError: where the file is damaged or cut off, can not be read, or lacks what every object has; it names the
            file.
    """
    with _complete(path):
        syntax = UID(str(read_file_meta_info(path).TransferSyntaxUID))
    if syntax not in READ:  # seen before the rest is read, as what is deflated may have any size
        raise ValueError(f"{path} is encoded as {syntax.name} ({syntax}), which can not be read: convert it.")
    with _complete(path):
        dataset = pydicom.dcmread(path)  # to the end: a file that is cut off must not pass
        if dataset.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
            return None
        _ = [getattr(dataset, keyword) for keyword in EVERY_OBJECT]
        if syntax in PLAIN and "PixelData" in dataset:
            _check_length(dataset)
    dataset.pop("PixelData", None)
    mend(dataset)
    return dataset


def _check_length(dataset: Dataset) -> None:
    """Raise where bytes are missing; pixels are not decoded, which pydicom would keep."""
    if len(dataset.PixelData) < get_expected_length(dataset):
        raise EOFError


@contextmanager
def _complete(path: Path) -> Iterator[None]:
    """Say of what pydicom can not read that the file is damaged."""
    try:
        yield
    except (InvalidDicomError, AttributeError, EOFError, OSError, ValueError) as error:
        said = type(error).__name__  # its text may quote a value
        raise ValueError(f"{path} is no complete DICOM file ({said}): send it again.") from error


def mend(dataset: Dataset) -> None:
    """Leave out what can not be read, empty what is invalid, add what is missing, and turn all text to Unicode."""
    for tag in list(dataset.keys()):
        try:
            _ = dataset[tag]
        except Exception:  # words where numbers should be raise what they like
            del dataset[tag]
    dataset.decode()
    dataset.SpecificCharacterSet = UNICODE
    for keyword in (*DATES, *TIMES, "PatientSex"):
        if keyword in dataset and not _is_valid(keyword, dataset[keyword].value):
            dataset[keyword].value = None
    for keyword in MAY_BE_EMPTY:
        if keyword not in dataset:
            setattr(dataset, keyword, None)
    if not dataset.get("ImagePositionPatient") and "PerFrameFunctionalGroupsSequence" not in dataset:
        dataset.pop("FrameOfReferenceUID", None)  # without a position it says nothing


def _is_valid(keyword: str, value: object) -> bool:
    kind = DA if keyword in DATES else TM if keyword in TIMES else PatientSexValues
    try:
        return not value or bool(kind(str(value)))
    except ValueError:
        return False
