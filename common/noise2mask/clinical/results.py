"""From DICOM files to the folder that is segmented, and from its results to DICOM objects."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from ..data.dicom_series import is_dicom
from ..handlers.batch import MADE_FROM
from .headers import discreet
from .objects import Maker, can_be_referred_to, mask_object, picture_object, probability_object
from .series import Series, stage
from .unpack import unpack

logger = logging.getLogger(__name__)


def received(path: Path, work: Path, phase: int = 0) -> Series | None:
    """The series of a zip, a DICOM file, or a folder with DICOM files at any depth; None where there is none.

    Args:
        path:  what the user gave.
        work:  a folder for copies.
        phase: which point in time of a dynamic series is segmented.

    Raises:
        ValueError: where it can not be segmented; it says why.
    """
    if path.suffix.lower() == ".zip":
        return stage(unpack(path, work / "unpacked"), work, phase)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return stage(files, work, phase) if any(is_dicom(file) for file in files) else None


def check_objects(series: Series, bundle: str, metadata: Mapping[str, Any]) -> None:
    """Make an empty mask, before time is spent on a true one.

    Raises:
        ValueError: where the bundle does not say what it segments, or no object can be made.
    """
    if "coded_structure" not in metadata:
        raise ValueError(f"The metadata.json of {bundle} has no coded_structure, expected label and codes: add it.")
    first, maker = series.datasets[0], _maker(bundle, metadata)
    if not can_be_referred_to(series.datasets):
        logger.warning(f"{series.name}: frames without geometry; no segmentation object is written, NIfTI files are.")
        return
    depth = int(first.get("NumberOfFrames") or 1) * len(series.datasets)
    with _unquoted(series):
        mask_object(series.datasets, np.zeros((depth, first.Rows, first.Columns), np.uint8), maker)


def write_objects(series: Series, output: Path, bundle: str, metadata: Mapping[str, Any]) -> list[Path]:
    """Write `<name>_mask.dcm`, `_probability.dcm` and `_preview.dcm` from the files that inference wrote.

    Args:
        series:   what was segmented.
        output:   the folder of the results.
        bundle:   its name.
        metadata: of the bundle, with `coded_structure`.

    Returns:
        Their paths.
    """
    made_from = json.loads((output / f"{series.name}.json").read_text(encoding="utf-8"))[MADE_FROM]
    maker = _maker(bundle, metadata, f"{made_from['weights']}/{made_from['config']}")
    paths = []
    with _unquoted(series):
        for name, made in _objects(series, output, maker):
            paths.append(output / f"{series.name}_{name}.dcm")
            made.save_as(paths[-1])
    return paths


def _maker(bundle: str, metadata: Mapping[str, Any], recipe: str = "") -> Maker:
    return Maker(bundle, metadata["version"], metadata["coded_structure"], recipe)


def _objects(series: Series, output: Path, maker: Maker) -> Iterator[tuple[str, Dataset]]:
    picture = np.asarray(Image.open(output / f"{series.name}_preview.png").convert("RGB"))  # (H, W, 3)
    yield "preview", picture_object(series.datasets, picture, maker)
    if can_be_referred_to(series.datasets):
        for name, make in (("mask", mask_object), ("probability", probability_object)):
            yield name, make(series.datasets, _frames(output / f"{series.name}_{name}.nii.gz"), maker)


@contextmanager
def _unquoted(series: Series) -> Iterator[None]:
    """What is said of a failure quotes no value of the headers, as highdicom does: it may be a patient's name."""
    try:
        with discreet():
            yield
    except OSError:  # no room
        raise
    except Exception as error:
        said = f"No DICOM object can be made of series {series.name} ({type(error).__name__})"
        raise ValueError(f"{said}, expected headers that keep to the standard: convert it to NIfTI.") from None


def _frames(path: Path) -> np.ndarray:
    """A volume (columns, rows, D) as the reader stacks it -> (D, rows, columns)."""
    return np.asarray(nib.load(path).dataobj).transpose(2, 1, 0)  # type: ignore[attr-defined]
