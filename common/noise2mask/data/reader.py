"""Reading pictures and volumes as grey images.

Pictures (PNG, JPEG, BMP, TIFF) become one grey channel in their own bit depth: three equal channels are one, and an
opaque alpha channel is none. NIfTI goes to MONAI's NibabelReader, a folder of DICOM files and everything else (NRRD,
MetaImage) to its ITKReader.
Arrays have MONAI's axis order (W, H) for pictures, which its writers and MONAI Label expect back;
`SliceOrientationd` turns them so that rows are rows, and its inverse turns results back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import itk
import numpy as np
from monai.data import ITKReader, NibabelReader
from monai.data.image_reader import ImageReader
from PIL import Image, ImageOps

from ..quiet import quiet
from .dicom_series import phase_files

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
NIFTI = (".nii", ".nii.gz")
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, ITU-R BT.601, as Pillow has it


def is_picture(path: str | Path) -> bool:
    """Whether the name is one of a picture rather than of a medical image."""
    return str(path).lower().endswith(PICTURES)


class _Opened(NamedTuple):
    path: str
    image: Any  # what the reader's `read` gave
    reader: ImageReader | None  # None: a PIL picture


class GreyReader(ImageReader):
    """A `reader` for `LoadImaged`: one file (or DICOM folder), or several that are stacked as channels.

    Args:
        phase: which point in time of a dynamic examination (DICOM phases, or the fourth axis of NIfTI), counted from 0;
               files without phases are taken as they are.

    Raises:
        ValueError: where a file is missing, unreadable, of an unknown kind, transparent, or not finite; it names the
            file.
    """

    def __init__(self, phase: int = 0) -> None:
        super().__init__()
        quiet()  # every run reads images, and `LoadImaged` makes its other readers after this one
        self.phase = phase

    def verify_suffix(self, filename: Sequence[Any] | Any) -> bool:
        """Every file is tried: an unknown one is an error of this reader, which names it."""
        return True

    def read(self, data: Any, **kwargs: Any) -> list[Any]:
        """The files' names; they are opened in `get_data`, whose errors `LoadImaged` does not hide."""
        return [str(path) for path in ([data] if isinstance(data, str | Path) else data)]

    def get_data(self, img: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """Array (W, H) or (X, Y, Z), several files as channels in front, and the meta data of the first."""
        arrays, metas = zip(*(_array_and_meta(_open(path, self.phase), self.phase) for path in img), strict=True)
        for path, array in zip(img, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise ValueError(
                    f"{path} has shape {array.shape}, but {img[0]} has {arrays[0].shape}: files of one item must agree."
                )
        meta = metas[0]
        if len(arrays) == 1:
            return arrays[0], meta
        return np.stack(arrays), {**meta, "original_channel_dim": 0}


def _open(path: str, phase: int) -> _Opened:
    if not Path(path).exists():
        raise ValueError(f"{path} does not exist: check the datalist or the folder.")
    files = phase_files(path, phase) if Path(path).is_dir() else []
    try:
        if is_picture(path):
            with Image.open(path) as picture:
                if (pages := getattr(picture, "n_frames", 1)) > 1:
                    raise _Unclear(f"{path} has {pages} pages; expected one: save each as a file of its own.")
                picture.load()
                return _Opened(path, _grey(ImageOps.exif_transpose(picture), path), None)  # as viewers show it
        reader = NibabelReader() if path.lower().endswith(NIFTI) else ITKReader()
        series = files if len(files) > 1 else "".join(files)  # of one file ITK makes an axis more than it has
        return _Opened(path, itk.imread(series) if files else reader.read(path), reader)
    except _Unclear:
        raise
    except Exception as error:  # readers raise anything from OSError to SyntaxError on broken files
        raise ValueError(f"{path} can not be read as an image ({error}): replace the file.") from error


class _Unclear(ValueError):
    """A picture that could be read in several ways."""


def _grey(picture: Image.Image, path: str) -> np.ndarray:
    """(H, W) in the picture's own depth: 8-bit colour as luminance, 16-bit and float grey as they are."""
    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return np.asarray(picture).astype(np.float32)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        lowest, _ = picture.getchannel("A").getextrema()
        if lowest != 255:  # what is below can not be known: black, white, or the mask itself
            raise _Unclear(
                f"{path} has transparent pixels (alpha down to {lowest}); expected no alpha channel, or an opaque one: "
                "save it in grey."
            )
    return np.asarray(picture.convert("RGB" if picture.mode == "P" else picture.mode).convert("L"), dtype=np.float32)


def _array_and_meta(opened: _Opened, phase: int) -> tuple[np.ndarray, dict[str, Any]]:
    if opened.reader is None:
        array = np.ascontiguousarray(opened.image.T)  # (W, H)
        meta: dict[str, Any] = {"spatial_shape": np.asarray(array.shape), "original_channel_dim": float("nan")}
    else:
        try:
            array, meta = opened.reader.get_data(opened.image)
        except Exception as error:  # a truncated file shows only when its pixels are read
            raise ValueError(f"{opened.path} can not be read as an image ({error}): replace the file.") from error
    if meta["original_channel_dim"] == -1 and array.shape[-1] == 3 and not opened.path.lower().endswith(NIFTI):
        array = array.astype(np.float32) @ LUMINANCE  # (X, Y, Z, 3) -> (X, Y, Z)
        meta = {**meta, "spatial_shape": np.asarray(array.shape), "original_channel_dim": float("nan")}
    if array.ndim == 4 and opened.path.lower().endswith(NIFTI):
        array = _one_phase(opened.path, array, phase)  # (X, Y, Z)
        meta = {**meta, "spatial_shape": np.asarray(array.shape), "original_channel_dim": float("nan")}
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        raise ValueError(
            f"{opened.path} has {len(bad)} values that are not finite, the first at {tuple(bad[0].tolist())}: "
            "repair the file."
        )
    return array.astype(np.float32), meta


def _one_phase(path: str, array: np.ndarray, phase: int) -> np.ndarray:
    """(X, Y, Z, P) -> (X, Y, Z)."""
    phases = array.shape[3]
    if phases > 1 and not 0 <= phase < phases:
        raise ValueError(f"{path} has {phases} phases, 0 to {phases - 1}, but phase is {phase}: change it.")
    return array[..., phase if phases > 1 else 0]
