"""A channel per structure from mask files of several classes, and back to one map of their numbers.

Legend: F files, S structures, K channels (S, and with exclusive structures the background's first), ... spatial axes.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from ..data.structures import (
    Structures,
    check_structures,
    is_any_of,
    label_map,
    masks_of,
    overlapping,
    values_of,
    without_background,
)
from .binary_mask import refuse_wrong_values


class StructureMasksd(MapTransform):
    """(F, ...) of mask files -> (K, ...) in {0, 1}; a structure is where any file holds one of its values.

    Args:
        keys:       of masks.
        structures: name -> values, such as {"anterior": [1], "posterior": [2]}; nested ones may share values, as in
                    {"disc": [1, 2], "cup": [2]}.
        exclusive:  a pixel has one structure at most; channel 0 is the background, where it has none.
        background: all other values that the files may hold; one that is in neither shows another coding.
        ignore:     values of what nobody has labelled, such as a tile's padding: with exclusive structures a pixel that
                    holds one in any file has no class at all, all channels are 0.

    Raises:
        ValueError: where there is no structure, exclusive ones share a value or a pixel, others than exclusive ones
            have values to ignore, or such a value has another meaning, too; and where a mask holds other values: it
            names the file and the values.
    """

    def __init__(
        self,
        keys: KeysCollection,
        structures: Structures,
        exclusive: bool = True,
        background: Sequence[float] = (0,),
        allow_missing_keys: bool = False,
        ignore: Sequence[float] = (),
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_structures(structures, exclusive)
        if ignore and not exclusive:
            raise ValueError("Only exclusive structures have pixels of no class: leave out ignore, or set exclusive.")
        if twice := set(ignore) & {*background, *values_of(structures)}:
            found = (
                f"{', '.join(f'{value:g}' for value in sorted(twice))} stands in ignore and in structures or background"
            )
            raise ValueError(f"{found}; expected one meaning of each value: correct them.")
        self.structures, self.exclusive = structures, exclusive
        self.background, self.ignore = [*background, *ignore], ignore

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give the keys their channels."""
        return {**data, **{key: self._channels(data[key]) for key in self.key_iterator(data)}}

    def _channels(self, mask: Tensor) -> Tensor:
        refuse_wrong_values(mask, values_of(self.structures), self.background, "structures")
        channels = masks_of(mask, self.structures)  # (S, ...)
        if self.exclusive:
            if both := overlapping(channels, self.structures):
                name = getattr(mask, "meta", {}).get("filename_or_obj", "a mask")
                raise ValueError(f"{name}: {both} share pixels; expected exclusive structures: correct the files.")
            channels = torch.cat([~channels.any(dim=0, keepdim=True), channels])  # (S + 1, ...)
            if self.ignore:
                channels &= ~is_any_of(mask, self.ignore).any(dim=0)  # (S + 1, ...)
        return channels.to(torch.float32)  # (K, ...)


class LabelMapd(MapTransform):
    """(K, ...) in {0, 1} -> (...) uint8, the numbers of the structures from 1 up, as MONAI Label and DICOM take them.

    Args:
        keys:      of hard masks.
        exclusive: channel 0 is the background.
    """

    def __init__(self, keys: KeysCollection, exclusive: bool = True, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.exclusive = exclusive

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Number the keys."""
        maps = {key: label_map(without_background(data[key], self.exclusive)) for key in self.key_iterator(data)}
        return {**data, **maps}
