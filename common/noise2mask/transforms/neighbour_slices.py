"""Neighbouring slices as further channels, for networks that see a volume slice by slice ("2.5D").

Legend: C channels, H W size, D slices, n neighbours on either side.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor


class NeighbourSlicesd(MapTransform):
    """(C, H, W, D) -> ((2 n + 1) C, H, W, D): slice k gets those of k - n .. k + n, in this order.

    The first and the last slice stand for those beyond them, and so does the one slice that a picture (C, H, W) is.

    Args:
        keys:       of images.
        neighbours: n, from 0 up; 0 changes nothing.

    Raises:
        ValueError: where n is below 0.
    """

    def __init__(self, keys: KeysCollection, neighbours: int = 1, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if neighbours < 0:
            raise ValueError(f"neighbours is {neighbours}, expected a number of slices from 0 up: correct it.")
        self.neighbours = neighbours

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the channels."""
        return {**data, **{key: self._with_neighbours(data[key]) for key in self.key_iterator(data)}}

    def _with_neighbours(self, image: Tensor) -> Tensor:
        n = self.neighbours
        if image.ndim == 3:
            return image.repeat(2 * n + 1, 1, 1)  # ((2 n + 1) C, H, W)
        depth = image.shape[3]
        places = [(torch.arange(depth) + step).clamp(0, depth - 1) for step in range(-n, n + 1)]  # (D,) each
        return torch.cat([image[..., place] for place in places])  # ((2 n + 1) C, H, W, D)
