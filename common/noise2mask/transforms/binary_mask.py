"""One binary mask from one or several mask files.

Legend: F files, C channels, ... spatial axes.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor


class BinaryMaskd(MapTransform):
    """(F, ...) with values {0, 1} or {0, 255} -> (1, ...) in {0, 1}, the union of the files (BUSI: up to three).

    Raises:
        ValueError: where a mask holds other values; it names the file and the values.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Join the keys."""
        return {**data, **{key: _union(data[key]) for key in self.key_iterator(data)}}


def _union(mask: Tensor) -> Tensor:
    values = torch.unique(mask.as_tensor() if hasattr(mask, "as_tensor") else mask).tolist()
    if not (set(values) <= {0.0, 1.0} or set(values) <= {0.0, 255.0}):
        name = getattr(mask, "meta", {}).get("filename_or_obj", "a mask")
        shown = ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
        raise ValueError(
            f"{name} holds the values {shown}; a binary mask holds 0 and 1, or 0 and 255: save it so (PNG, not JPEG)."
        )
    return (mask > 0).amax(dim=0, keepdim=True).to(torch.float32)  # (1, ...)
