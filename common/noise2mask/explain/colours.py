"""Colours of structures, and of what mask and label have in common; told apart without colour vision too.

Source: M. Okabe and K. Ito, "Color Universal Design", 2008, without black; of more than seven structures those after
the seventh get the same colours again, and previews dash their contours.
"""

from typing import Literal

import numpy as np
from torch import Tensor

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
# Of PGDiffSeg's figure 9: hit white and missed red; false blue, another structure yellow. Their lightness differs too.
HIT, WRONG, FALSE, MISSED = (255, 255, 255), (240, 228, 66), (86, 180, 233), (170, 20, 20)
STYLES: tuple[Literal["solid", "dashed", "dotted"], ...] = ("solid", "dashed", "dotted")


def colour_of(number: int) -> str:
    """Of a structure, counted from 1, as #rrggbb."""
    return COLOURS[(number - 1) % len(COLOURS)]


def style_of(number: int) -> Literal["solid", "dashed", "dotted"]:
    """How the contour of a structure, counted from 1, is drawn."""
    return STYLES[(number - 1) // len(COLOURS) % len(STYLES)]


def palette() -> list[int]:
    """Red, green and blue of the values 0 .. 255 of a label map; 0 is black."""
    shown = ["#000000", *(colour_of(number) for number in range(1, 256))]
    return [int(colour[i : i + 2], 16) for colour in shown for i in (1, 3, 5)]


def coloured(numbers: np.ndarray) -> np.ndarray:
    """A label map (H, W) -> (H, W, 3) uint8."""
    return np.array(palette(), np.uint8).reshape(-1, 3)[numbers]


def red_green_blue(image: Tensor) -> Tensor:
    """(C, H, W) -> (3, H, W): three channels as they are, of others the first as grey."""
    return image if len(image) == 3 else image[:1].expand(3, -1, -1)
