"""As many slices for every volume, so that several fit in one batch.

Legend: C channels, H W size, D slices before, d after.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor


class PadSlicesd(MapTransform):
    """(C, H, W, D) -> (C, H, W, d): the last slice again, up to d, in images and masks alike.

    A constant would be no class in a mask whose classes exclude one another.

    Args:
        keys:   of images and masks.
        slices: d.

    Raises:
        ValueError: where a volume has more slices than d; it names the file.
    """

    def __init__(self, keys: KeysCollection, slices: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slices = slices

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the slices."""
        return {**data, **{key: self._padded(data[key]) for key in self.key_iterator(data)}}

    def _padded(self, volume: Tensor) -> Tensor:
        depth = volume.shape[3]
        if depth > self.slices:
            name = getattr(volume, "meta", {}).get("filename_or_obj", "a volume")
            raise ValueError(
                f"{name} has {depth} slices, expected {self.slices} at most: set slices to {depth} or more."
            )
        return volume[..., torch.arange(self.slices).clamp(max=depth - 1)]  # (C, H, W, d)
