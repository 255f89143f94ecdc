"""PGDiffSeg's augmentation: every training image in six fixed copies (BUSI: 545 images become 3270).

`copies` lists each item six times with the number of its copy; `SixFoldd` turns the copy as its number says.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from ..names import check_name

# (C, H, W[, D]): as it is, flipped left to right, flipped upside down, turned by 90, 180 and 270 degrees
TURNS = (
    lambda x: x,
    lambda x: x.flip(2),
    lambda x: x.flip(1),
    lambda x: torch.rot90(x, 1, (1, 2)),
    lambda x: torch.rot90(x, 2, (1, 2)),
    lambda x: torch.rot90(x, 3, (1, 2)),
)
COPY = "copy"  # the item's key that holds the number of the copy
AUGMENTATIONS = ("random", "six_fold", "none")


def copies(items: Sequence[Mapping[str, Any]], augmentation: str) -> list[dict[str, Any]]:
    """Six numbered copies of each item for "six_fold"; the items themselves for "random" and "none".

    Raises:
        ValueError: where the augmentation is none of these three.
    """
    check_name("augmentation", augmentation, AUGMENTATIONS)
    if augmentation != "six_fold":
        return [dict(item) for item in items]
    return [{**item, COPY: number} for item in items for number in range(len(TURNS))]


class SixFoldd(MapTransform):
    """Turns square images and masks (C, H, W[, D]) of an item as its `copy` says; others stay as they are.

    Raises:
        ValueError: where rows and columns differ in number.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Turn the keys."""
        if COPY not in data:
            return dict(data)
        turn = TURNS[data[COPY]]
        return {**data, **{key: turn(_square(data[key])) for key in self.key_iterator(data)}}


def _square(image: Tensor) -> Tensor:
    if image.shape[1] != image.shape[2]:
        found = tuple(image.shape[1:3])
        raise ValueError(
            f"Six-fold augmentation turns square pictures, found size {found}: change image_size, or augmentation."
        )
    return image
