"""One binary mask from one or several mask files.

Legend: F files, C channels, ... spatial axes.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from ..meta import without_meta


class BinaryMaskd(MapTransform):
    """(F, ...), each file {0, 1} or {0, 255}, -> (1, ...) in {0, 1}, the union of the files (BUSI: up to three).

    Args:
        keys: of masks.
        join: False keeps the files apart, (F, ...): masks of several annotators.

    Raises:
        ValueError: where a mask holds other values; it names the file and the values.
    """

    def __init__(self, keys: KeysCollection, join: bool = True, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.join = join

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the keys binary."""
        return {**data, **{key: self._binary(data[key]) for key in self.key_iterator(data)}}

    def _binary(self, mask: Tensor) -> Tensor:
        problem = next(filter(None, map(wrong_values, mask)), None)
        if problem:
            raise ValueError(f"{getattr(mask, 'meta', {}).get('filename_or_obj', 'a mask')} {problem}")
        foreground = mask > 0  # (F, ...)
        return (foreground.amax(dim=0, keepdim=True) if self.join else foreground).to(torch.float32)


def wrong_values(mask: Tensor) -> str | None:
    """What is wrong with the values of one mask file that should be binary, or None."""
    values = torch.unique(without_meta(mask)).tolist()
    if set(values) <= {0.0, 1.0} or set(values) <= {0.0, 255.0}:
        return None
    shown = ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
    return f"holds the values {shown}; a binary mask holds 0 and 1, or 0 and 255: save it so (PNG, not JPEG)."
