"""A DICOM series that may be segmented: found among files, checked, and laid out for the reader case by case.

What a viewer would show wrongly, or a network would see wrongly, is refused with the reason: a tilted gantry, a missing
slice, two series in one folder, an encoding that can not be read.

Legend: D slices or frames, in the order in which the reader stacks them.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from ..data.dicom_series import NO_IMAGES, VOLUMES, is_dicom, phase_files
from ..data.reader import MOST_VALUES
from ..refusals import refusal_in
from .geometry import check_geometry, frames, planes
from .headers import discreet, header

Files = dict[Path, Dataset]  # and what their headers say


class Case(NamedTuple):
    """What is segmented at once: a volume, a still or a clip."""

    folder: Path  # holds its files alone
    datasets: list[Dataset]  # headers of its files in the reader's order

    @property
    def name(self) -> str:
        """Of hashes: nothing in it leads back to a patient."""
        return self.folder.name


def hashed(uid: str) -> str:
    """A study's or series' UID as it may stand in logs, file names and reports: 16 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def stage(files: Sequence[Path], work: Path, phase: int = 0) -> list[Case]:
    """Check files as one series, and lay each of its cases out in a folder of its own.

    Args:
        files: everything that was received: DICOM files, and others, which are left aside.
        work:  where the folders are made; what stands there under their names is replaced.
        phase: which point in time of a dynamic series is segmented, as for `GreyReader`.

    Returns:
        One volume; or each still and clip of a series of them, as ultrasound is.

    Raises:
        ValueError: where there is not exactly one series of images, or it can not be segmented; it says why.
    """
    with discreet():
        headers = _headers(files)
        check_one_series(list(headers.values()))
        return [_checked(case, work / name, phase) for name, case in _cases(headers).items()]


def _headers(files: Sequence[Path]) -> Files:
    """Of the DICOM files among some; of an object that is there twice, the first."""
    found: dict[str, tuple[Path, Dataset]] = {}
    for path in sorted(files):
        if is_dicom(path) and (dataset := header(path)) is not None:
            found.setdefault(str(dataset.SOPInstanceUID), (path, dataset))
    if not found:
        raise ValueError("There is no DICOM file; expected those of one series: give another folder.")
    return dict(found.values())


def _cases(headers: Files) -> dict[str, Files]:
    """By name: the series is one, unless its images stand alone."""
    series = hashed(str(next(iter(headers.values())).SeriesInstanceUID))
    if not _stand_alone(list(headers.values())):
        return {series: headers}
    return {f"{series}_{hashed(str(made.SOPInstanceUID))}": {path: made} for path, made in headers.items()}


def _stand_alone(datasets: Sequence[Dataset]) -> bool:
    """Whether files are no slices of one volume: files of all slices, or stills and clips of the same place or none."""
    if all(frames(made) > 1 or "PerFrameFunctionalGroupsSequence" in made for made in datasets):
        return True
    if datasets[0].Modality in VOLUMES:
        return False
    places = {str(plane.position) for made in datasets for plane in planes(made) if plane.is_placed}
    return len(places) < len(datasets) or len(datasets) == 1


def _checked(files: Files, folder: Path, phase: int) -> Case:
    """A case in its folder; what is said of the only file of one names it."""
    datasets = list(files.values())
    try:
        _check_size(datasets)
        check_geometry(datasets)
        _align(datasets)
        return _laid_out(files, folder, phase)
    except ValueError as error:
        if len(files) > 1 or refusal_in(error) is None:
            raise
        raise ValueError(f"{next(iter(files))}: {error}") from error


def _check_size(datasets: Sequence[Dataset]) -> None:
    """Refuse what would fill the memory: headers may say anything of what is compressed."""
    pixels = sum(frames(made) * int(made.get("Rows") or 0) * int(made.get("Columns") or 0) for made in datasets)
    if pixels > MOST_VALUES:
        raise ValueError(f"The images have {pixels} pixels together, expected at most {MOST_VALUES}: give a part.")


def _align(datasets: Sequence[Dataset]) -> None:
    """Directions that differ by a rounding are not equal to highdicom."""
    for dataset in datasets:
        if dataset.get("ImageOrientationPatient"):
            dataset.ImageOrientationPatient = datasets[0].ImageOrientationPatient


def _laid_out(files: Files, folder: Path, phase: int) -> Case:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    of_file: dict[str, Dataset] = {}
    for number, (path, dataset) in enumerate(files.items()):
        copy = folder / f"{number:05d}.dcm"  # names of files may be those of patients
        shutil.copyfile(path, copy)
        of_file[str(copy)] = dataset
    return Case(folder, [of_file[path] for path in phase_files(folder, phase)])


def check_one_series(datasets: Sequence[Dataset]) -> None:
    """Refuse files that are no images, and more than one series."""
    others = sorted({str(dataset.Modality) for dataset in datasets if dataset.Modality in NO_IMAGES})
    if others:
        raise ValueError(f"There are objects of modality {', '.join(others)} among the images: leave them out.")
    series = sorted({hashed(str(dataset.SeriesInstanceUID)) for dataset in datasets})
    if len(series) > 1:
        raise ValueError(f"There are {len(series)} series ({', '.join(series)}), expected one: give one alone.")
    if len({(str(made.get("PatientID")), str(made.StudyInstanceUID)) for made in datasets}) > 1:
        raise ValueError("There are images of several patients or studies in one series: give them apart.")
