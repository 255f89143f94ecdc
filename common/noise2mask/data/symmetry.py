"""The eight ways to lay a tile: flips and quarter turns, which leave what it shows the same.

Legend: C channels, H W size.
"""

from torch import Tensor

SYMMETRIES = 8  # of a square; 0 is the tile as it is


def laid(image: Tensor, number: int) -> Tensor:
    """(..., H, W) by `number` quarter turns, mirrored before from 4 up -> (..., H, W), or (..., W, H)."""
    return (image.flip(-1) if number >= 4 else image).rot90(number % 4, dims=(-2, -1))


def symmetries_of(image: Tensor) -> range:
    """Numbers of the ways that keep the size of (..., H, W), but for the first: as it is."""
    return range(1, SYMMETRIES) if image.shape[-1] == image.shape[-2] else range(2, SYMMETRIES, 2)
