"""Whether the prepared images of a training fit into memory, where `SliceDataset` keeps them."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from monai.transforms import Compose
from torch import Tensor

from .item_paths import name_of
from .slice_dataset import kept

logger = logging.getLogger(__name__)


def warn_of_memory(items: Sequence[Mapping[str, Any]], transform: Compose) -> None:
    """Warn where images and masks take more than the machine has, if all are like the first, which is prepared.

    Args:
        items:     of a datalist, all that is kept.
        transform: of the training's `SliceDataset`.
    """
    if not hasattr(os, "sysconf"):  # Windows
        return
    tensors = [value for value in kept(items[0], transform).values() if isinstance(value, Tensor)]
    needed = len(items) * sum(tensor.nbytes for tensor in tensors)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        found = f"warning: {len(items)} cases such as {name_of(items[0])} take about {needed / 1e9:.1f} GB of memory"
        remedy = "shorten the lists of a datalist.json, or take a smaller image_size"
        logger.warning(f"{found}, more than the {there / 1e9:.1f} GB of this machine: {remedy}.")
