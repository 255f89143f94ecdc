"""The cases of a DICOM input: a zip, a file, or a folder with files at any depth, of one series or of several."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from ..clinical.headers import discreet
from ..clinical.series import Case, hashed, stage
from ..clinical.unpack import unpack
from ..data.dicom_series import is_dicom
from ..data.inputs import is_zip
from ..data.problems import refuse
from ..refusals import refusal_in


def staged(source: Path, files: Sequence[Path], work: Path, phase: int) -> list[Case]:
    """The checked cases of what the user gave, each laid out in a folder of its own.

    Args:
        source: a zip, a DICOM file or a folder.
        files:  what `dicom_files` finds there.
        work:   where the copies go.
        phase:  which point in time of a dynamic series is segmented.

    Raises:
        ValueError: where a zip holds no DICOM, or a series can not be segmented; of several it names all that can not.
    """
    if not is_zip(source):
        return _all_staged(source, files, work, phase)
    try:
        unpacked = unpack(source, work / "unpacked")
        if not any(map(is_dicom, unpacked)):
            raise ValueError(f"{source} holds no DICOM file, which a zip is for: unpack it, and give the folder.")
        return stage(unpacked, work, phase)
    finally:
        shutil.rmtree(work / "unpacked", ignore_errors=True)  # what is segmented has been copied, or refused


def _all_staged(source: Path, files: Sequence[Path], work: Path, phase: int) -> list[Case]:
    series = by_series(source, files)
    if len(series) == 1:
        return stage(files, work, phase)
    made: list[Case] = []
    problems = []
    for folder, its in series.items():
        try:
            made += stage(its, work, phase)
        except ValueError as error:
            if refusal_in(error) is None:
                raise
            problems.append(f"{folder}: {error}")
    refuse(f"{source} can not be segmented", problems)
    return made


def by_series(source: Path, files: Sequence[Path]) -> dict[Path, list[Path]]:
    """DICOM files by series: all are one, where they say so or stand in one folder; else each folder is one.

    Raises:
        ValueError: where several series are there and one of them is spread over several folders.
    """
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    if len(folders) < 2:
        return folders
    places: dict[str, set[Path]] = {}
    with discreet():
        for file in files:
            places.setdefault(_series(file), set()).add(file.parent)
    if len(places) == 1:
        return {source: list(files)}
    torn = [uid for uid in places if uid and len(places[uid]) > 1]
    refuse(f"{source} can not be segmented", [_is_torn(uid, places[uid]) for uid in torn])
    return folders


def _is_torn(uid: str, folders: set[Path]) -> str:
    there = " and ".join(sorted(map(str, folders)))
    return f"series {hashed(uid)} stands in {there}, among others; expected a folder for each: put its files together."


def _series(file: Path) -> str:
    """Its series' UID, empty where it can not be read: `stage` says what is wrong with the file."""
    try:
        return str(pydicom.dcmread(file, stop_before_pixels=True).get("SeriesInstanceUID", ""))
    except (InvalidDicomError, AttributeError, EOFError, OSError, ValueError):
        return ""
