"""Probabilities of overlapping tiles, blended to those of a whole slide: strip by strip, from its top to its bottom.

A place is the mean over the tiles that hold it, weighted by how far it is from their borders, where networks are worst.
What no later tile reaches is given out, so that a row of tiles is all that is in memory.

Legend: K classes, s side of a tile and W width of the slide, in pixels of the network, h number of rows.
"""

from collections.abc import Iterable, Iterator

import numpy as np

Placed = tuple[int, int, np.ndarray]  # first row, first column, probabilities (K, s, s)


def blended(tiles: Iterable[Placed], width: int, end: int) -> Iterator[np.ndarray]:
    """Tiles, row by row of them -> strips (K, h, W), which together are the slide.

    Args:
        tiles: in the order of their first rows; together they hold every place.
        width: W; what lies to the right of it is cut off.
        end:   rows of the slide; what lies below is cut off.
    """
    total: np.ndarray | None = None  # (K + 1, s, W'): sums of weighted probabilities, and of weights
    first = 0
    for top, left, tile in tiles:
        side = tile.shape[1]
        if total is None:
            total = np.zeros((len(tile) + 1, side, width + side), np.float32)
        if top > first:
            yield _mean(total[:, : min(top, end) - first], width)
            total = _moved(total, top - first)
            first = top
        weight = window(side)  # (s, s)
        total[:-1, :, left : left + side] += weight * tile
        total[-1, :, left : left + side] += weight
    if total is not None and end > first:
        yield _mean(total[:, : end - first], width)


def window(side: int) -> np.ndarray:
    """(s, s): 1 at the border, more towards the middle, the product of both directions."""
    along = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float32)
    return np.outer(along, along)


def _mean(total: np.ndarray, width: int) -> np.ndarray:
    """(K + 1, h, W') -> (K, h, W)."""
    return total[:-1, :, :width] / total[-1:, :, :width]


def _moved(total: np.ndarray, rows: int) -> np.ndarray:
    """Without its first rows, and as many empty ones below."""
    moved = np.zeros_like(total)
    moved[:, : total.shape[1] - rows] = total[:, rows:]
    return moved
