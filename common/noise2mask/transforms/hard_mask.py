"""From class probabilities to the hard mask that is scored and saved.

Legend: K classes, ... spatial axes.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..diffusion.fusion import harden


class HardMaskd(MapTransform):
    """(K, ...) in [0, 1] -> (K, ...) uint8 in {0, 1}: above 0.5 or, for exclusive classes, one-hot of the largest."""

    def __init__(self, keys: KeysCollection, exclusive: bool = False, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.exclusive = exclusive

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Harden the keys."""
        masks = {
            key: harden(data[key][None, None], self.exclusive)[0, 0].to(torch.uint8) for key in self.key_iterator(data)
        }
        return {**data, **masks}


class LabelledOnlyd(MapTransform):
    """Nothing where nobody labelled: (K, ...) is zero where all channels of the label are.

    Args:
        keys:  masks of exclusive classes, the background's first.
        label: key of the label (K, ...).
    """

    def __init__(self, keys: KeysCollection, label: Hashable = "label", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label = label

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Clear the keys."""
        labelled = data[self.label].any(dim=0, keepdim=True)  # (1, ...)
        return {**data, **{key: data[key] * labelled for key in self.key_iterator(data)}}
