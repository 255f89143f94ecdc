"""A channel per structure from mask files of several classes.

Legend: F files, S structures, K channels (S, and with exclusive structures the background's first), ... spatial axes.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from .binary_mask import is_foreground, refuse_wrong_values

Structures = Mapping[str, Sequence[float]]  # name -> values of the mask files


class StructureMasksd(MapTransform):
    """(F, ...) of mask files -> (K, ...) in {0, 1}; a structure is where any file holds one of its values.

    Args:
        keys:       of masks.
        structures: name -> values, such as {"anterior": [1], "posterior": [2]}; nested ones may share values, as in
                    {"disc": [1, 2], "cup": [2]}.
        exclusive:  a pixel has one structure at most; channel 0 is the background, where it has none.
        background: all other values that the files may hold; one that is in neither shows another coding.

    Raises:
        ValueError: where there is no structure, or exclusive ones share a value; and where a mask holds other values:
            it names the file and the values.
    """

    def __init__(
        self,
        keys: KeysCollection,
        structures: Structures,
        exclusive: bool = True,
        background: Sequence[float] = (0,),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        _check_structures(structures, exclusive)
        self.structures, self.exclusive, self.background = structures, exclusive, background
        self.known = sorted({value for values in structures.values() for value in values})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give the keys their channels."""
        return {**data, **{key: self._channels(data[key]) for key in self.key_iterator(data)}}

    def _channels(self, mask: Tensor) -> Tensor:
        refuse_wrong_values(mask, self.known, self.background)
        channels = torch.stack([is_foreground(mask, own).amax(dim=0) for own in self.structures.values()])  # (S, ...)
        if self.exclusive:
            channels = torch.cat([~channels.any(dim=0, keepdim=True), channels])  # (S + 1, ...)
        return channels.to(torch.float32)  # (K, ...)


def _check_structures(structures: Structures, exclusive: bool) -> None:
    """Raise ValueError where there is no structure, one has no value, or exclusive ones share a value."""
    if not structures or not all(structures.values()):
        raise ValueError(f"structures are {dict(structures)}; expected names, each with the values of its mask.")
    for (one, values), (other, others) in combinations(structures.items(), 2):
        if exclusive and (both := set(values) & set(others)):
            found = f"{one} and {other} share {', '.join(f'{value:g}' for value in sorted(both))}"
            raise ValueError(
                f"exclusive structures have values of their own, but {found}: correct structures, or exclusive."
            )
