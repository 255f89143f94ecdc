"""Resizes rows and columns; the number of slices of a volume stays.

Legend: C channels, H W size before, h w after, D slices.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, Resize
from torch import Tensor


class ResizeSlicesd(MapTransform, InvertibleTransform):
    """(C, H, W) -> (C, h, w), (C, H, W, D) -> (C, h, w, D), by MONAI's `Resize`.

    Args:
        keys:         of images and masks.
        spatial_size: (h, w).
        mode:         per key, "bilinear" (smoothed first where it gets smaller, against aliasing) or "nearest".
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: Sequence[int],
        mode: str | Sequence[str] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        modes = [mode] * len(self.keys) if isinstance(mode, str) else mode
        self.resize = {
            key: {2: _resize(spatial_size, mode, slices=False), 3: _resize(spatial_size, mode, slices=True)}
            for key, mode in zip(self.keys, modes, strict=True)
        }

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resize the keys."""
        return {**data, **{key: self._of(key, data[key])(data[key]) for key in self.key_iterator(data)}}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Back to the size before."""
        return {**data, **{key: self._of(key, data[key]).inverse(data[key]) for key in self.key_iterator(data)}}

    def _of(self, key: Hashable, image: Tensor) -> Resize:
        return self.resize[key][image.ndim - 1]


def _resize(spatial_size: Sequence[int], mode: str, slices: bool) -> Resize:
    """MONAI's transform for pictures or for volumes; bilinear of an unchanged third axis is called trilinear."""
    if mode == "bilinear":
        return Resize(
            [*spatial_size, -1] if slices else spatial_size,
            mode="trilinear" if slices else "bilinear",
            anti_aliasing=True,
        )
    return Resize([*spatial_size, -1] if slices else spatial_size, mode=mode)
