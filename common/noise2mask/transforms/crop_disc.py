"""Crops a fundus photograph to a square around its optic disc, found in the label or in the photograph alone.

The cup lies in the disc, and the disc is about a fifth as wide as the photograph: a network that sees the whole has
few pixels of it. The centre of the crop comes from the label in training; where masks are predicted or scored it must
come from the photograph alone, for a crop around the label gives the answer away.

There is no coarse pass of a network: in the photograph the disc is the brightest region of its size, where a Gaussian
mean over the disc exceeds the Gaussian mean over its surroundings most (a difference of Gaussians; Marr and Hildreth
1980). Both means count pixels of the field of view only (normalised convolution; Knutsson and Westin 1993), so that
the black outside does not darken what is near it; bright crescents at the rim of the field are no disc, for a disc
lies in the field as a whole.

Constants and the default size were chosen on the 50 training photographs of Drishti-GS1, where every disc is inside:
so it stays for Gaussians of 0.25 to 0.45 and 0.7 to 1.2 discs, a margin of 0.5 to 1.25 and sizes of 0.28 to 0.5; wider
crops hold the disc too, but centre it worse. `tests/real/test_drishti_gs.py` has the numbers of its test photographs.

Legend: C channels, H W size of the picture, h w of its thumbnail, s side of the crop.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from ..meta import without_meta
from ..names import check_name
from .binary_mask import is_foreground
from .geometry import moved, place_of, put_back

FINDERS = ("label", "image")
DISC = 0.5  # width of the disc that is looked for, in sides of the crop
NEAR, WIDE = 0.35, 0.8  # standard deviations of the two Gaussians, in widths of the disc
MARGIN = 0.75  # least distance of the disc's centre from the rim of the field of view, in widths of the disc
DARK = 0.05  # below this part of the range of the brightest channel it is dark: outside of the field of view
FLAT = 0.02  # a region is brighter than its surroundings if by more than this part of the range (discs: from 0.1)
THUMBNAIL = 128  # longest side on which field and disc are looked for, in pixels


class CropDiscd(MapTransform, InvertibleTransform):
    """Pictures (C, H, W) -> (C, s, s) around the disc; back to (C, H, W), zero outside, for maps of the crop.

    The window is one for all keys, lies in the picture, and has the side `size` times the extent of the field of view,
    at most the picture's shorter side. It does not depend on chance: shifts are for the augmentation.

    Args:
        keys: of pictures and masks of one size.
        find: "label" takes the centre of the box of the disc with its cup in `label`; "image" that of the brightest
            region of `image`. The item needs `image` in both cases.
        size: side of the crop in extents of the field of view, above 0 up to 1; about two widths of a disc.
        disc: values of `label` that are disc or cup, such as (0, 128) of REFUGE-2; None: all above 0.

    Raises:
        ValueError: where an argument is another; where the image is a volume, has no field of view or no bright
            region, or the label no disc: it names the file.
    """

    def __init__(
        self,
        keys: KeysCollection,
        find: str = "image",
        size: float = 0.4,
        disc: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_name("find", find, FINDERS)
        if not 0 < size <= 1:
            raise ValueError(f"size is {size}, expected a part of the field of view, above 0 up to 1.")
        self.find = find
        self.size = size
        self.disc = disc

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Crop the keys; the picture's size and the window's place are remembered."""
        y, x, side = self._window(data)
        cropped = {key: data[key][:, y : y + side, x : x + side].clone() for key in self.key_iterator(data)}
        for key, crop in cropped.items():
            moved(crop, [[1, 0], [0, 1]], [y, x])
            extra = {"corner": (y, x), **place_of(data[key])}
            self.push_transform(crop, orig_size=tuple(data[key].shape[1:]), extra_info=extra)
        return {**data, **cropped}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Put the keys back to where they were."""
        return {**data, **{key: self._put_back(data[key]) for key in self.key_iterator(data)}}

    def _window(self, data: Mapping[Hashable, Any]) -> tuple[int, int, int]:
        """First row, first column and side of the window, in pixels."""
        image = data["image"]
        if image.ndim != 3:
            found = f"has {image.ndim - 1} spatial axes, expected 2"
            raise ValueError(f"{_name(image)} {found}: discs are found in pictures, leave volumes whole.")
        height, width = image.shape[1:]
        small = thumbnail(image)
        field = field_of_view(small)
        if not field.any():
            raise ValueError(f"{_name(image)} has the same value everywhere; expected a fundus photograph: remove it.")
        zoom = max(height, width) / max(small.shape[1:])
        extent = _extent(field)
        side = max(1, min(round(self.size * extent * zoom), height, width))
        if self.find == "label":
            row, column = label_centre(data["label"], self.disc)
        else:
            row, column = self._brightest(image, small, field, DISC * self.size * extent)
        return _first(row, side, height), _first(column, side, width), side

    def _brightest(self, image: Tensor, small: np.ndarray, field: np.ndarray, disc: float) -> tuple[float, float]:
        centre = brightest_region(small, field, disc)
        if centre is None:
            advice = "expected a fundus photograph with its optic disc in it: remove it"
            raise ValueError(f"{_name(image)} has no region brighter than what is around it; {advice}.")
        return centre[0] * image.shape[1] / small.shape[1], centre[1] * image.shape[2] / small.shape[2]

    def _put_back(self, crop: Tensor) -> Tensor:
        done = self.pop_transform(crop)
        (height, width), (y, x) = done["orig_size"], done["extra_info"]["corner"]
        whole = pad(crop, (x, width - x - crop.shape[2], y, height - y - crop.shape[1]))  # (C, H, W)
        return put_back(whole, done["extra_info"])


def thumbnail(picture: Tensor) -> np.ndarray:
    """(C, H, W) -> (C, h, w) float, means of blocks, the longest side at most `THUMBNAIL` pixels."""
    factor = min(1.0, THUMBNAIL / max(picture.shape[1:]))
    height, width = (max(1, round(factor * length)) for length in picture.shape[1:])
    return np.asarray(adaptive_avg_pool2d(without_meta(picture).float(), (height, width)).cpu())


def field_of_view(picture: np.ndarray) -> np.ndarray:
    """(C, h, w) -> (h, w) bool, what the camera saw: not dark, or enclosed by it; empty where all values are equal."""
    brightest = picture.max(0)
    low, high = brightest.min(), brightest.max()
    return np.asarray(binary_fill_holes(brightest > low + DARK * (high - low)))


def brightest_region(picture: np.ndarray, field: np.ndarray, disc: float) -> tuple[float, float] | None:
    """Centre (row, column) in pixels, from the picture's corner, of the brightest region of a disc's size.

    Args:
        picture: (C, h, w); its channels' mean counts.
        field:   (h, w) bool, the field of view.
        disc:    the disc's width in pixels.

    Returns:
        None where nothing in the field, a margin from its rim, is brighter than what is around it.
    """
    grey = picture.mean(0)
    contrast = _mean_around(grey, field, NEAR * disc) - _mean_around(grey, field, WIDE * disc)
    depth = distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1]  # the picture's border is a rim too
    contrast = np.where(depth > MARGIN * disc, contrast, -np.inf)
    row, column = np.unravel_index(contrast.argmax(), contrast.shape)
    if contrast[row, column] <= FLAT * (grey.max() - grey.min()):
        return None
    return float(row) + 0.5, float(column) + 0.5


def label_centre(label: Tensor, values: Sequence[float] | None = None) -> tuple[float, float]:
    """Centre (row, column) in pixels, from the picture's corner, of the box of these values, or of what is above 0.

    Raises:
        ValueError: where nothing in the label (C, H, W) is; it names the file.
    """
    disc = is_foreground(without_meta(label), values).any(0)
    if not disc.any():
        expected = "values above 0" if values is None else f"the values {', '.join(f'{value:g}' for value in values)}"
        raise ValueError(f"{_name(label)} has no optic disc, expected {expected}: correct or remove it.")
    rows, columns = disc.any(1).nonzero(), disc.any(0).nonzero()
    return float(rows[0] + rows[-1] + 1) / 2, float(columns[0] + columns[-1] + 1) / 2


def _mean_around(grey: np.ndarray, field: np.ndarray, sigma: float) -> np.ndarray:
    """(h, w) -> (h, w), mean over pixels of the field with Gaussian weights; sigma in pixels."""
    inside = field.astype(np.float64)
    total, weight = (gaussian_filter(values, sigma, mode="constant") for values in (grey * inside, inside))
    return np.asarray(total / np.maximum(weight, 1e-6))


def _extent(field: np.ndarray) -> int:
    """Longer side of the field's box, in pixels: the picture often cuts the field on one axis alone."""
    return max(int(np.ptp(places)) + 1 for places in np.nonzero(field))


def _first(centre: float, side: int, length: int) -> int:
    """First pixel of a window of this side around a centre, moved into 0 .. length."""
    return min(max(round(centre - side / 2), 0), length - side)


def _name(tensor: Tensor) -> str:
    return str(getattr(tensor, "meta", {}).get("filename_or_obj", "the image"))
