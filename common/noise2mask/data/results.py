"""Result files of one image, in the size and geometry of the input: PNG for pictures, NIfTI for volumes.

Each is written atomically: half a mask would be read as a mask.

Legend: K classes; pictures (W, H) and volumes (X, Y, Z) in MONAI's axis order.
"""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from ..explain.colours import palette
from ..files import atomic_file
from .reader import NIFTI, is_picture

REPORT = "report.json"  # of a segmentation, and of generated images

# Grey values of 8-bit pictures: probability 1 is 255, and a standard deviation of 0.5, the largest there is, too.
STD_WHITE = 0.5


def stem(path: str | Path) -> str:
    """The file's name without its ending: scan.nii.gz -> scan."""
    name = Path(path).name
    ending = next((ending for ending in (".nii.gz", *NIFTI) if name.lower().endswith(ending)), Path(name).suffix)
    return name[: len(name) - len(ending)] if ending else name


def write_mask(mask: np.ndarray, source: str, affine: np.ndarray, folder: Path) -> Path:
    """(W, H) or (X, Y, Z) in {0, 1} -> `<stem>_mask.png` with 0 and 255, or `<stem>_mask.nii.gz` as it is."""
    if is_picture(source):
        return _write_picture(mask.astype(np.uint8) * 255, folder / f"{stem(source)}_mask.png")
    return _write_nifti(mask.astype(np.uint8), source, affine, folder / f"{stem(source)}_mask.nii.gz")


def write_label_map(numbers: np.ndarray, source: str, affine: np.ndarray, folder: Path) -> Path:
    """(W, H) or (X, Y, Z), numbers of structures -> `<stem>_mask.png`, numbers of colours, or `<stem>_mask.nii.gz`."""
    if not is_picture(source):
        return write_mask(numbers, source, affine, folder)
    image = Image.fromarray(np.ascontiguousarray(numbers.T.astype(np.uint8))).convert("P")  # (W, H) -> rows first
    image.putpalette(palette())
    return _save_picture(image, folder / f"{stem(source)}_mask.png")


def write_map(values: np.ndarray, source: str, affine: np.ndarray, folder: Path, name: str, white: float = 1.0) -> Path:
    """(W, H) or (X, Y, Z) in [0, white] -> 8-bit `<stem>_<name>.png`, white as 255, or float32 `.nii.gz`."""
    if is_picture(source):
        grey = np.clip(np.round(values / white * 255), 0, 255).astype(np.uint8)
        return _write_picture(grey, folder / f"{stem(source)}_{name}.png")
    return _write_nifti(values.astype(np.float32), source, affine, folder / f"{stem(source)}_{name}.nii.gz")


def _write_picture(array: np.ndarray, path: Path) -> Path:
    return _save_picture(Image.fromarray(np.ascontiguousarray(array.T)), path)  # (W, H) -> rows first


def _save_picture(image: Image.Image, path: Path) -> Path:
    with atomic_file(path) as file:
        image.save(file, "PNG")
    return path


def _write_nifti(array: np.ndarray, source: str, affine: np.ndarray, path: Path) -> Path:
    header = nib.load(source).header.copy() if source.lower().endswith(NIFTI) else None
    image: Any = nib.Nifti1Image(array, affine, header)
    image.set_data_dtype(array.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["cal_min"] = image.header["cal_max"] = 0  # the input's display window does not fit a mask
    with atomic_file(path) as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
        image.to_stream(packed)
    return path
