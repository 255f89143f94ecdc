"""Series of an archive, from fetching to storing."""

import logging
import shutil
import traceback
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import pydicom
from pydicom.uid import UID

from ..data.dicom_series import NO_IMAGES
from ..refusals import ServerError, disk_is_full, refusal_in
from .dicomweb import Archive, Found
from .headers import discreet
from .series import hashed

logger = logging.getLogger(__name__)

Segment = Callable[[Path, Path], Sequence[Path]]  # files of a series and folder of results -> the objects made


def series_of(archive: Archive, study: str, modality: str | None) -> list[Found]:
    """The series of a study that may be segmented.

    Args:
        archive:  that holds the study.
        study:    its UID.
        modality: the only one that is wanted; None is any of images, secondary captures left out.

    Raises:
        ValueError: where the UID is none, or there is no such series.
    """
    if not UID(study).is_valid:
        raise ValueError("The study's UID is no UID; expected digits and dots: take it from the archive.")
    found = archive.series(StudyInstanceUID=study)
    kept = [made for made in found if made.modality == modality or _may_be_images(made, modality)]
    if not kept:
        there = ", ".join(sorted({made.modality for made in found})) or "nothing"
        wanted = f"a series of modality {modality}" if modality else "a series of images"
        raise ValueError(f"Study {hashed(study)} holds {there}, expected {wanted}: give another study or modality.")
    return sorted(kept)


def _may_be_images(found: Found, modality: str | None) -> bool:
    return modality is None and found.modality not in NO_IMAGES | {"OT"}


def serve_study(archive: Archive, study: str, modality: str | None, output: Path, segment: Segment) -> list[Path]:
    """Segment every series of a study into a folder of its own, and store what comes of it.

    Returns:
        The folders.

    Raises:
        ServerError: where the archive fails; the next call goes on where this one stopped.
        ValueError: at the end, where some could not be segmented; it says why. What came of the others is stored.
    """
    folders, refused = [], []
    for found in series_of(archive, study, modality):
        folder = output / hashed(found.series)
        try:
            serve_series(archive, found, folder, segment)
            folders.append(folder)
        except Exception as error:
            if isinstance(error, ServerError) or disk_is_full(error):
                raise
            refused.append(f"series {folder.name}: {reason(error)}")
            logger.warning(f"left out: {refused[-1]}")  # now: the archive may fail before the end
    if refused:
        raise ValueError(
            f"{len(refused)} of {len(refused) + len(folders)} series were left out.\n" + "\n".join(refused)
        )
    return folders


def reason(error: Exception) -> str:
    """What is said of it: a refusal; of a mistake its kind and place, without its text, which may hold a name."""
    if refusal := refusal_in(error):
        return str(refusal)
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}".rstrip()


def serve_series(archive: Archive, found: Found, folder: Path, segment: Segment) -> None:
    """Fetch one series, segment it, store what comes of it.

    Raises:
        ServerError: where the archive fails; the next call goes on where this one stopped.
        ValueError: where the series can not be segmented.
    """
    fetched = folder / "fetched"
    with discreet():
        there = archive.fetch(found, fetched)
    for gone in set(fetched.iterdir()) - set(there):  # deleted from the archive since the last try
        gone.unlink()
    objects = segment(fetched, folder)
    for _, paths in groupby(objects, key=lambda path: path.name.rsplit("_", 1)[0]):  # case by case: servers have limits
        with discreet():
            archive.store([pydicom.dcmread(path) for path in paths])
    shutil.rmtree(fetched)
    logger.info(f"series {folder.name}: {len(objects)} objects are stored")
