"""Whether the prepared images of a training fit into memory, where `SliceDataset` keeps them."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .item_paths import name_of
from .reader import GreyReader

logger = logging.getLogger(__name__)

BYTES = 4  # of a value, float32


def warn_of_memory(
    items: Sequence[Mapping[str, Any]], reader: GreyReader, image_size: Sequence[int], channels: int
) -> None:
    """Warn where images and masks take more than the machine has, if all are like the first.

    Args:
        items:      of a datalist, all that is kept.
        reader:     that the images are read with.
        image_size: rows and columns of what is kept; of volumes it is kept for every slice.
        channels:   of image and mask together.
    """
    if not hasattr(os, "sysconf"):  # Windows
        return
    image, _ = reader.channels(items[0]["image"])  # (C, W, H) or (C, X, Y, Z)
    needed = len(items) * channels * math.prod(image_size[:2]) * math.prod(image.shape[3:]) * BYTES
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        found = f"warning: {len(items)} cases such as {name_of(items[0])} take about {needed / 1e9:.1f} GB of memory"
        remedy = "shorten the lists of a datalist.json, or take a smaller image_size"
        logger.warning(f"{found}, more than the {there / 1e9:.1f} GB of this machine: {remedy}.")
