"""The modified Reinhard normalisation of DiffusionDCI as a step of preprocessing.

Legend: H W size.
"""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..data.slide_colours import read_colours, to_slide
from ..digest import sha256
from ..meta import without_meta


class ReinhardToSlided(MapTransform):
    """Patches (3, H, W) of colours in [0, 255] -> the same with the mean and deviation of their slide, clipped.

    The item says its `slide`. A patch without tissue stays as it is.

    Args:
        keys:  of patches.
        stats: file that `python -m noise2mask.data.slide_colours` has written.

    Raises:
        ValueError: where the file is missing, or does not have the item's slide; where a patch has not three channels.
    """

    def __init__(self, keys: KeysCollection, stats: str | os.PathLike, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.stats = stats
        self.colours, self.luminance = read_colours(stats)
        self.digest = sha256(Path(stats))  # a training that goes on must have the same

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Move the keys to the colours of the item's slide."""
        slide = str(data.get("slide"))
        if "slide" not in data:
            raise ValueError("A tile names no slide, whose colours it is to have: give tiles by their datalist.json.")
        if slide not in self.colours:
            known = ", ".join(list(self.colours)[:8])
            raise ValueError(f"{self.stats} has no slide {slide}, but {known}: write it again for all tiles.")
        moved = dict(data)
        for key in self.key_iterator(data):
            patch = data[key]
            if patch.ndim != 3 or patch.shape[0] != 3:
                expected = "expected (3, H, W): red, green and blue; take noise2mask.data.reader.ColourReader"
                raise ValueError(f"{key} of slide {slide} has shape {tuple(patch.shape)}, {expected}.")
            moved[key] = patch.clone()  # with its meta data
            colours = to_slide(np.asarray(without_meta(patch)), self.colours[slide], self.luminance)
            moved[key][:] = torch.from_numpy(colours)  # (3, H, W)
        return moved
