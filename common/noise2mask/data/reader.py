"""Reading pictures and volumes, in grey or in colour, masks, and several files of one case as channels.

Pictures (PNG, JPEG, BMP, TIFF) become one grey channel in their own bit depth: three equal channels are one, and an
opaque alpha channel is none. `ColourReader` makes red, green and blue of them instead, `MaskReader` takes the numbers
of a palette. NIfTI goes to MONAI's NibabelReader, a folder of DICOM files and everything else (NRRD, MetaImage) to its
ITKReader.
Arrays have MONAI's axis order (W, H) for pictures, which its writers and MONAI Label expect back;
`SliceOrientationd` turns them so that rows are rows, and its inverse turns results back.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import itk
import numpy as np
from monai.data import ITKReader, NibabelReader
from monai.data.image_reader import ImageReader
from PIL import Image, ImageChops, ImageOps

from ..quiet import quiet
from .dicom_series import phase_files
from .item_paths import paths_of

logger = logging.getLogger(__name__)

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
NIFTI = (".nii", ".nii.gz")
MOST_VALUES = 2**30  # of a file, or a DICOM folder: 4 GiB where they are read as numbers
SAME_GREY = 2  # difference of colours, of 255, that is the rounding of a JPEG
SAME_MM = 1e-3  # difference of affine matrices that is rounding
DEEP = ("I;16", "I;16B", "I;16L", "I", "F")  # modes of grey pictures of more than 8 bits
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, ITU-R BT.601, as Pillow has it


def is_picture(path: str | Path) -> bool:
    """Whether the name is one of a picture rather than of a medical image."""
    return str(path).lower().endswith(PICTURES)


def same_place(first: Any, second: Any) -> bool:
    """Whether two affine matrices are the same but for rounding."""
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return first.shape == second.shape and bool(np.abs(first - second).max() <= SAME_MM)


class _Opened(NamedTuple):
    path: str
    image: Any  # what the reader's `read` gave; of a picture (H, W) or (H, W, 3)
    reader: ImageReader | None  # None: a picture


class GreyReader(ImageReader):
    """A `reader` for `LoadImaged`: one file (or DICOM folder), or several that are stacked as channels.

    Args:
        phase: which point in time of a dynamic examination (DICOM phases, or the fourth axis of NIfTI), counted from 0;
               files without phases are taken as they are.

    Raises:
        ValueError: where a file is missing, unreadable, of an unknown kind, larger than `MOST_VALUES`, transparent, of
            several numbers per voxel, or not finite in 32 bits, or where several files differ in size, position,
            spacing or orientation; it names the file, or both.
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
        read = [_array_and_meta(_open(path, self.phase, self._pixels), self.phase) for path in img]
        array, meta = read[0]
        if len(read) == 1:
            return array, meta
        for path, (other, other_meta) in zip(img, read, strict=True):
            _check_agree(path, other, other_meta, img[0], array, meta)
        files = [other if other_meta["original_channel_dim"] == 0 else other[None] for other, other_meta in read]
        return np.concatenate(files), {**meta, "original_channel_dim": 0}

    def channels(self, image: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """An item's `image` or `label`, a path or a list of them -> (C, W, H) or (C, X, Y, Z), and the meta data."""
        array, meta = self.get_data(paths_of(image))
        return (array if meta["original_channel_dim"] == 0 else array[None]), meta

    def _pixels(self, picture: Image.Image, path: str) -> np.ndarray:
        """(H, W), or (H, W, 3), of a picture."""
        return _grey(picture, path)


class ColourReader(GreyReader):
    """A `reader` for `LoadImaged` that makes three channels of a picture: (3, W, H), red, green and blue.

    A grey picture gets three equal channels, in its own bit depth; volumes stay grey. Arguments and errors are those of
    `GreyReader`.
    """

    def _pixels(self, picture: Image.Image, path: str) -> np.ndarray:
        return _colours(picture, path)


class MaskReader(GreyReader):
    """A `reader` of masks for `LoadImaged`: where a picture has a palette of colours, its numbers are the values.

    Such are label maps, those of this software included. A palette of greys is a way of saving a grey picture, and so
    is one of which black and white alone are in use: they are looked up. Arguments and errors are those of
    `GreyReader`.
    """

    def _pixels(self, picture: Image.Image, path: str) -> np.ndarray:
        return np.asarray(picture, dtype=np.float32) if _has_colours(picture) else _grey(picture, path)


def _check_agree(path: str, array: np.ndarray, meta: dict, first: str, expected: np.ndarray, first_meta: dict) -> None:
    """Refuse files of one item that do not lie on one another."""
    if array.shape != expected.shape:
        raise ValueError(
            f"{path} has shape {array.shape}, but {first} has {expected.shape}: files of one item must agree."
        )
    here = [meta.get("affine"), first_meta.get("affine")]  # pictures have none
    if all(affine is not None for affine in here) and not same_place(*here):
        raise ValueError(
            f"{path} has another position, spacing or orientation than {first}; files of one item must agree: resample "
            "one."
        )


def _open(path: str, phase: int, pixels: Callable[[Image.Image, str], np.ndarray]) -> _Opened:
    if not Path(path).exists():
        raise ValueError(f"{path} does not exist: check the datalist or the folder.")
    files = phase_files(path, phase) if Path(path).is_dir() else []
    try:
        if is_picture(path):
            with Image.open(path) as picture:
                if (pages := getattr(picture, "n_frames", 1)) > 1:
                    raise _Refused(f"{path} has {pages} pages; expected one: save each as a file of its own.")
                picture.load()
                upright = ImageOps.exif_transpose(picture)  # as viewers show it
                return _Opened(path, pixels(upright, path), None)
        return _open_volume(path, files)
    except _Refused:
        raise
    except Exception as error:  # readers raise anything from OSError to SyntaxError on broken files
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> ValueError:
    return ValueError(f"{path} can not be read as an image ({str(error) or type(error).__name__}): replace the file.")


class _Refused(ValueError):
    """What is said as it is: a picture that could be read in several ways, more than fits into the memory."""


def _open_volume(path: str, files: list[str]) -> _Opened:
    """NIfTI, whose pixels are read later; or anything that ITK reads, such as the files of a DICOM folder."""
    if path.lower().endswith(NIFTI):
        nifti = NibabelReader()
        image = nifti.read(path)
        _check_size(path, image.shape)
        return _Opened(path, image, nifti)
    _check_size(path, [max(1, len(files)), *_declared(files[0] if files else path)])
    series = files if len(files) > 1 else "".join(files)  # of one file ITK makes an axis more than it has
    reader = ITKReader()
    return _Opened(path, itk.imread(series) if files else reader.read(path), reader)


def _declared(path: str) -> list[int]:
    """The axes and components that a file's header declares; none where ITK knows no reader for it, and will say so."""
    found = itk.ImageIOFactory.CreateImageIO(path, itk.CommonEnums.IOFileMode_ReadMode)
    if found is None:
        return []
    found.SetFileName(path)
    found.ReadImageInformation()
    return [
        found.GetNumberOfComponents(),
        *(found.GetDimensions(axis) for axis in range(found.GetNumberOfDimensions())),
    ]


def _check_size(path: str, axes: Sequence[int]) -> None:
    """Refuse what would fill the memory, before it does: a damaged header may declare anything."""
    if (values := prod(map(int, axes))) > MOST_VALUES:
        raise _Refused(f"{path} declares {values} values, expected at most {MOST_VALUES}: replace it, or give a part.")


def _grey(picture: Image.Image, path: str) -> np.ndarray:
    """(H, W) in the picture's own depth: 8-bit colour as luminance, 16-bit and float grey as they are."""
    if picture.mode in DEEP:
        return np.asarray(picture).astype(np.float32)
    picture = _opaque(picture, path)
    picture = picture.convert("RGB" if picture.mode == "P" else picture.mode)
    if picture.mode in ("RGB", "RGBA") and _is_coloured(picture):
        _tell_of_grey()
    return np.asarray(picture.convert("L"), dtype=np.float32)


def _has_colours(picture: Image.Image) -> bool:
    """Whether there is a palette, not of greys alone, of which more is in use than black and white."""
    palette = picture.getpalette() if picture.mode == "P" else None
    entries = np.reshape(palette or [], (-1, 3))  # red, green and blue of each number
    if not (np.ptp(entries, axis=1) > SAME_GREY).any():
        return False
    used = entries[[number for number in np.unique(np.asarray(picture)) if number < len(entries)]]
    return not ((used == 0).all(axis=1) | (used == 255).all(axis=1)).all()


def _is_coloured(picture: Image.Image) -> bool:
    """Whether red, green and blue differ anywhere."""
    red, green, blue = picture.convert("RGB").split()
    differences = (ImageChops.difference(green, other) for other in (red, blue))
    return any(np.asarray(difference).max() > SAME_GREY for difference in differences)


@cache  # once is enough
def _tell_of_grey() -> None:
    logger.info("Pictures in colour are read in grey; ColourReader would make three channels of them.")


def _colours(picture: Image.Image, path: str) -> np.ndarray:
    """(H, W, 3): 8-bit red, green and blue, or 16-bit and float grey three times."""
    if picture.mode in DEEP:
        return np.repeat(_grey(picture, path)[..., None], 3, axis=-1)
    return np.asarray(_opaque(picture, path).convert("RGB"), dtype=np.float32)


def _opaque(picture: Image.Image, path: str) -> Image.Image:
    """The picture, with colours looked up where it has transparency data; what is below can not be known."""
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    lowest, _ = picture.getchannel("A").getextrema()
    if lowest != 255:  # black, white, or the mask itself
        raise _Refused(
            f"{path} has transparent pixels (alpha down to {lowest}); expected no alpha channel, or an opaque one: "
            "save it without."
        )
    return picture


def _array_and_meta(opened: _Opened, phase: int) -> tuple[np.ndarray, dict[str, Any]]:
    if opened.reader is None:
        array = np.ascontiguousarray(opened.image.T)  # (W, H) or (3, W, H)
        channel = 0 if array.ndim == 3 else float("nan")
        meta: dict[str, Any] = {"spatial_shape": np.asarray(array.shape[-2:]), "original_channel_dim": channel}
    else:
        try:
            array, meta = opened.reader.get_data(opened.image)
        except Exception as error:  # a truncated file shows only when its pixels are read
            raise _unreadable(opened.path, error) from error
    _check_kind(opened.path, array)
    if meta["original_channel_dim"] == -1 and array.shape[-1] == 3 and not opened.path.lower().endswith(NIFTI):
        array = array.astype(np.float32) @ LUMINANCE  # (X, Y, Z, 3) -> (X, Y, Z)
        meta = {**meta, "spatial_shape": np.asarray(array.shape), "original_channel_dim": float("nan")}
    if array.ndim == 4 and opened.path.lower().endswith(NIFTI):
        array = _one_phase(opened.path, array, phase)  # (X, Y, Z)
        meta = {**meta, "spatial_shape": np.asarray(array.shape), "original_channel_dim": float("nan")}
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values))
        first = tuple(bad[0].tolist())
        found = f"{opened.path} has {len(bad)} values that are not finite, the first at {first}: {array[first]:g}"
        raise ValueError(f"{found}; expected at most {np.finfo(np.float32).max:.1e}: repair the file.")
    return values, meta


def _check_kind(path: str, array: np.ndarray) -> None:
    """Refuse voxels of several numbers, of which one would be taken, or none could be."""
    if array.dtype.kind not in "buif":
        found = {"c": "complex numbers", "V": f"voxels of {array.dtype.names}"}.get(array.dtype.kind, str(array.dtype))
        raise ValueError(f"{path} holds {found}; expected one real number each: save grey values, or the magnitude.")


def _one_phase(path: str, array: np.ndarray, phase: int) -> np.ndarray:
    """(X, Y, Z, P) -> (X, Y, Z)."""
    phases = array.shape[3]
    if phases > 1 and not 0 <= phase < phases:
        raise ValueError(f"{path} has {phases} phases, 0 to {phases - 1}, but phase is {phase}: change it.")
    return array[..., phase if phases > 1 else 0]
