"""From DICOM files to the folder that is segmented, and from its results to DICOM objects."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from ..data.dicom_series import is_dicom
from ..handlers.batch import MADE_FROM
from .objects import Maker, can_be_referred_to, mask_object, picture_object, probability_object
from .series import Series, stage
from .unpack import unpack

logger = logging.getLogger(__name__)


def received(path: Path, work: Path) -> Series | None:
    """The series of a zip, a DICOM file, or a folder with DICOM files at any depth; None where there is none.

    Args:
        path: what the user gave.
        work: a folder for copies.

    Raises:
        ValueError: where it can not be segmented; it says why.
    """
    if path.suffix.lower() == ".zip":
        return stage(unpack(path, work / "unpacked"), work)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return stage(files, work) if any(is_dicom(file) for file in files) else None


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
    recipe = f"{made_from['weights']}/{made_from['config']}"
    maker = Maker(bundle, metadata["version"], metadata["coded_structure"], recipe)
    picture = np.asarray(Image.open(output / f"{series.name}_preview.png").convert("RGB"))  # (H, W, 3)
    objects: dict[str, Any] = {"preview": picture_object(series.datasets, picture, maker)}
    if can_be_referred_to(series.datasets):
        for name, make in (("mask", mask_object), ("probability", probability_object)):
            objects[name] = make(series.datasets, _frames(output / f"{series.name}_{name}.nii.gz"), maker)
    else:
        logger.warning(f"{series.name}: frames without geometry; no segmentation object is written, NIfTI files are.")
    paths = [output / f"{series.name}_{name}.dcm" for name in objects]
    for path, made in zip(paths, objects.values(), strict=True):
        made.save_as(path)
    return paths


def _frames(path: Path) -> np.ndarray:
    """A volume (columns, rows, D) as the reader stacks it -> (D, rows, columns)."""
    return np.asarray(nib.load(path).dataobj).transpose(2, 1, 0)  # type: ignore[attr-defined]
