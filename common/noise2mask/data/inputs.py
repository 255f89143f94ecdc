"""What to segment: one file, a folder of files, or a datalist."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .datalist import load_datalist
from .dicom_series import is_dicom, is_dicom_folder
from .layout_brats2021 import brats2021_images, is_brats2021
from .reader import NIFTI, PICTURES

logger = logging.getLogger(__name__)

MASK = re.compile(r"(?P<image>.+)_mask(_\d+)?(?P<ending>\.[a-z.]+)", re.IGNORECASE)
ENDINGS = (*PICTURES, *NIFTI, ".nrrd", ".mha", ".mhd")


def find_inputs(path: str | Path, key: str = "testing") -> list[dict[str, Any]]:
    """Items {"image": path, or the paths of its modalities} for inference; of a datalist's tiles with their `slide`.

    Args:
        path: a picture or volume (a file, or a folder of its DICOM files), a folder of them (not searched deeper), a
              case of BraTS or a folder of such, or a datalist (.json).
        key:  which section of a datalist.

    Raises:
        ValueError: where there is nothing at `path`, or nothing that can be read; it names the path.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist: give an image, a folder of images, or a datalist.")
    if path.suffix == ".json":
        return [{name: item[name] for name in ("image", "slide") if name in item} for item in load_datalist(path, key)]
    if path.is_file():
        return [{"image": str(path)}]
    if is_brats2021(path):
        return [{"image": files} for files in brats2021_images(path)]
    seen = [file for file in path.iterdir() if not file.name.startswith(".")]
    files = [file for file in seen if _is_image(file) or is_dicom_folder(file)]
    if any(map(is_dicom, seen)):
        if files:
            raise ValueError(f"{path} holds DICOM files of a volume and other images: give them apart.")
        return [{"image": str(path)}]
    images = [file for file in files if not _is_mask(file, files)]
    if not images:
        expected = f"expected {', '.join(ENDINGS)}, or DICOM files, which have DICM after 128 bytes"
        raise ValueError(f"{path} holds no image; {expected}: give the folder that does, or repair their headers.")
    if len(images) < len(files):
        logger.info(f"{path}: {len(files) - len(images)} files are masks of images beside them and are left out")
    return [{"image": str(file)} for file in sorted(images)]


def dicom_files(path: Path) -> list[Path]:
    """All DICOM files of a folder, at any depth; a DICOM file, or a zip, is the only one.

    Raises:
        ValueError: where other images stand among them; it names one of each kind.
    """
    if path.is_file():
        return [path] if is_zip(path) or is_dicom(path) else []
    files = sorted(file for file in path.rglob("*") if file.is_file())
    dicom = [file for file in files if is_dicom(file)]
    others = sorted({file for file in files if _is_image(file)} - set(dicom)) if dicom else []
    if others:
        found = f"{path} holds DICOM files of a volume and other images ({dicom[0]}, {others[0]})"
        raise ValueError(f"{found}; expected one kind: give them apart.")
    return dicom


def is_zip(path: Path) -> bool:
    """Whether it is called so."""
    return path.suffix.lower() == ".zip"


def _is_image(file: Path) -> bool:
    return file.name.lower().endswith(ENDINGS) and not file.name.startswith(".")


def _is_mask(file: Path, files: Sequence[Path]) -> bool:
    """Whether it is called as BUSI calls the masks of an image that is there: "a (1)_mask.png", "a (1)_mask_1.png"."""
    match = MASK.fullmatch(file.name)
    return match is not None and file.with_name(match["image"] + match["ending"]) in files
