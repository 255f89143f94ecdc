"""Where a tile lies on its slide, and whether two tiles share pixels: overlapping ones show parts of the same image.

A datalist's items have `slide` and `place`: first row, first column and side, in pixels of the slide.
"""

from collections.abc import Mapping
from typing import Any


def overlapping(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two items are tiles of one slide that share pixels; False where their places are not known."""
    if "place" not in one or "place" not in other or one.get("slide") != other.get("slide"):
        return False
    (row, column, side), (others_row, others_column, others_side) = one["place"], other["place"]
    along = row < others_row + others_side and others_row < row + side
    return along and column < others_column + others_side and others_column < column + side
