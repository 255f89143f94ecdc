"""Images made worse by a known amount: noise, blur, less contrast, a smaller field of view.

They act on an image as it was loaded, at its own size and in its own values, each channel in its own range, as a sensor
or a lens would: what comes after (a crop, the network's range and size) sees the worse image. Severities are parts of
what the image has, so that networks of any size and any range are given the same images.

Legend: C channels, H W size, D slices of a volume, each of which is changed by itself.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, ScaleIntensityFixedMean
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ..digest import digest
from ..meta import without_meta
from ..names import check_name
from .slice_orientation import SliceOrientationd

KEPT = "kept"  # of an item that was cropped: (...) bool in the axes of its file, where the image was kept


class Corruption(NamedTuple):
    """One way in which images get worse."""

    apply: Callable[[Tensor, float], Tensor]  # image (C, H, W[, D]), severity -> the same shape
    unit: str  # what the severity is
    unchanged: float  # the severity of the image as it is
    allowed: Callable[[float], bool]
    expected: str  # in words, what is allowed


def noisy(image: Tensor, severity: float) -> Tensor:
    """White noise whose standard deviation is this part of the channel's range, bounded to that range as a sensor is.

    It is drawn for the image's content, so that it depends neither on the order of images nor on other ones, and is the
    same pattern at every severity.
    """
    generator = torch.Generator().manual_seed(int(digest({"image": image})[:8], 16))
    low, high = _range(image)
    noise = torch.randn(image.shape, generator=generator)  # (C, H, W[, D])
    return (image + severity * (high - low) * noise).clamp(low, high)


def blurred(image: Tensor, severity: float) -> Tensor:
    """A Gaussian whose standard deviation is this part of the shorter side of rows and columns."""
    sigma = severity * min(image.shape[1:3])
    smooth = gaussian_filter(image.numpy(), (0, sigma, sigma, 0)[: image.ndim], mode="nearest")
    return torch.from_numpy(np.ascontiguousarray(smooth))


def with_contrast(image: Tensor, severity: float) -> Tensor:
    """Distances from the channel's mean times this factor, bounded to the channel's range."""
    change = ScaleIntensityFixedMean(factor=severity - 1, preserve_range=True, channel_wise=True)
    return torch.as_tensor(change(image))


def cropped(image: Tensor, severity: float) -> Tensor:
    """This part of the rows and of the columns around the centre; outside of it the channel's lowest value."""
    return torch.where(window(image, severity), image, _range(image)[0])


def window(image: Tensor, part: float) -> Tensor:
    """Of an image (C, H, W[, D]) where it is kept, (1, H, W[, D]) bool: at least one row and one column."""
    inside = torch.zeros(1, *image.shape[1:], dtype=torch.bool)
    kept = [max(1, round(part * length)) for length in image.shape[1:3]]
    (top, left), (rows, columns) = ((whole - own) // 2 for whole, own in zip(image.shape[1:3], kept, strict=True)), kept
    inside[:, top : top + rows, left : left + columns] = True
    return inside


def _range(image: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each channel, (C, 1, 1[, 1]) each."""
    axes = tuple(range(1, image.ndim))
    return image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)


CORRUPTIONS = {
    "noise": Corruption(noisy, "standard deviation, part of the range", 0.0, lambda s: s >= 0, "from 0 up"),
    "blur": Corruption(blurred, "standard deviation, part of the side", 0.0, lambda s: s >= 0, "from 0 up"),
    "contrast": Corruption(with_contrast, "factor around the mean", 1.0, lambda s: s > 0, "above 0"),
    "crop": Corruption(cropped, "part of rows and columns kept", 1.0, lambda s: 0 < s <= 1, "above 0 up to 1"),
}


def check_severity(corruption: str, severity: float) -> None:
    """Raise ValueError where there is no such corruption, or it has no such severity."""
    check_name("A corruption", corruption, CORRUPTIONS)
    known = CORRUPTIONS[corruption]
    is_number = isinstance(severity, int | float) and math.isfinite(severity)  # YAML reads 1e-1 as a word
    if not is_number or not known.allowed(severity):
        expected = f"expected a number {known.expected} ({known.unit}), such as 0.5"
        raise ValueError(f"A severity of {corruption} is {severity!r}, {expected}: correct it.")


class Corruptd(MapTransform):
    """Images (C, H, W[, D]) -> the same, worse; of a crop the item gets `KEPT`, too.

    Args:
        keys:        of images, whose rows are rows.
        corruption:  a name of `CORRUPTIONS`.
        severity:    in its unit.
        orientation: what turned the images' rows to rows.

    Raises:
        ValueError: where there is no such corruption, or it has no such severity.
    """

    def __init__(self, keys: KeysCollection, corruption: str, severity: float, orientation: SliceOrientationd) -> None:
        super().__init__(keys)
        check_severity(corruption, severity)
        self.corruption, self.severity, self.orientation = corruption, severity, orientation

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change the keys; where nothing is to change they stay to the last bit."""
        found = dict(data)
        if self.severity == CORRUPTIONS[self.corruption].unchanged:
            return found
        for key in self.key_iterator(data):
            image = data[key]
            found[key] = _filled(image, CORRUPTIONS[self.corruption].apply(without_meta(image), self.severity))
            if self.corruption == "crop":
                inside = self.orientation.transform.inverse(_filled(image, window(image, self.severity)))
                found[KEPT] = without_meta(inside)[0] > 0
        return found


def _filled(image: Tensor, values: Tensor) -> Tensor:
    """The values, with the image's meta data and history."""
    changed = image.clone()
    changed[...] = values
    return changed


def corrupting(preprocessing: Compose, corruption: str, severity: float) -> Compose:
    """The same transforms, with a corruption of `image` as soon as its rows are rows.

    Args:
        preprocessing: has a `SliceOrientationd`.
        corruption:    a name of `CORRUPTIONS`.
        severity:      in its unit.

    Raises:
        ValueError: where nothing turns rows to rows; and as `Corruptd`.
    """
    steps = list(preprocessing.transforms)
    places = [place for place, step in enumerate(steps) if isinstance(step, SliceOrientationd)]
    if not places:
        raise ValueError("The preprocessing has no SliceOrientationd; expected one, behind which images get worse.")
    worse = Corruptd("image", corruption, severity, steps[places[0]])
    return Compose([*steps[: places[0] + 1], worse, *steps[places[0] + 1 :]])
