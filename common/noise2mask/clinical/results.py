"""From the results of a DICOM case to DICOM objects."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from ..handlers.batch import MADE_FROM
from .coded import coded_structures
from .geometry import frames
from .headers import discreet
from .objects import Maker, can_be_referred_to, mask_object, picture_object, probability_object
from .series import Case

logger = logging.getLogger(__name__)


def check_objects(case: Case, bundle: str, metadata: Mapping[str, Any]) -> None:
    """Make an empty mask, before time is spent on a true one.

    Raises:
        ValueError: where no object can be made.
    """
    codes = coded_structures(metadata, metadata.get("coded_structures", ["anything"]))
    first, maker = case.datasets[0], Maker(bundle, metadata["version"], codes, "")
    if not can_be_referred_to(case.datasets):
        logger.warning(f"{case.name}: frames without geometry; no segmentation object is written, NIfTI files are.")
        return
    depth = frames(first) * len(case.datasets)
    with _unquoted(case):
        mask_object(case.datasets, np.zeros((depth, first.Rows, first.Columns, len(codes)), np.uint8), maker)


def write_objects(case: Case, output: Path, bundle: str, metadata: Mapping[str, Any]) -> list[Path]:
    """Write `<name>_mask.dcm`, `_probability.dcm` and `_preview.dcm` from the files that inference wrote.

    Args:
        case:     what was segmented.
        output:   the folder of the results.
        bundle:   its name.
        metadata: of the bundle; `coded_structures` has the codes of what its weights segment.

    Returns:
        Their paths.
    """
    result = json.loads((output / f"{case.name}.json").read_text(encoding="utf-8"))
    recipe = f"{result[MADE_FROM]['weights']}/{result[MADE_FROM]['config']}"
    names = list(result["structures"]) if "structures" in result else None
    maker = Maker(bundle, metadata["version"], coded_structures(metadata, names or [result["structure"]]), recipe)
    paths = []
    with _unquoted(case):
        for name, made in _objects(case, output, maker, names):
            paths.append(output / f"{case.name}_{name}.dcm")
            made.save_as(paths[-1])
    return paths


def _objects(case: Case, output: Path, maker: Maker, names: Sequence[str] | None) -> Iterator[tuple[str, Dataset]]:
    picture = np.asarray(Image.open(output / f"{case.name}_preview.png").convert("RGB"))  # (H, W, 3)
    yield "preview", picture_object(case.datasets, picture, maker)
    if not can_be_referred_to(case.datasets):
        return
    mask = _frames(output / f"{case.name}_mask.nii.gz")  # (D, H, W)
    kinds = ["probability"] if names is None else [f"probability_{name}" for name in names]
    probability = np.stack([_frames(output / f"{case.name}_{kind}.nii.gz") for kind in kinds], axis=-1)  # (D, H, W, S)
    masks = _masks(mask, probability)  # (D, H, W, S)
    yield "mask", mask_object(case.datasets, masks, maker)
    yield "probability", probability_object(case.datasets, probability, maker)


def _masks(numbers: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Label map (D, H, W) and probability (D, H, W, S) -> (D, H, W, S) bool.

    A structure is where its number stands; and, of structures that overlap, where a later one's hides it, which its
    probability tells: of exclusive ones no other is above one half there.
    """
    own = numbers[..., None] == np.arange(1, probability.shape[-1] + 1)  # (D, H, W, S)
    return own | ((probability > 0.5) & (numbers[..., None] > 0))


@contextmanager
def _unquoted(case: Case) -> Iterator[None]:
    """What is said of a failure quotes no value of the headers, as highdicom does: it may be a patient's name."""
    try:
        with discreet():
            yield
    except OSError:  # no room
        raise
    except Exception as error:
        number = f", image {case.datasets[0].get('InstanceNumber')}," if len(case.datasets) == 1 else ""
        said = f"No DICOM object can be made of {case.name}{number} ({type(error).__name__})"
        raise ValueError(f"{said}, expected headers that keep to the standard: convert it to NIfTI.") from None


def _frames(path: Path) -> np.ndarray:
    """A volume (columns, rows, D) as the reader stacks it -> (D, rows, columns)."""
    return np.asarray(nib.load(path).dataobj).transpose(2, 1, 0)  # type: ignore[attr-defined]
