"""A label map of a whole slide as a tiled TIFF with a pyramid, which viewers such as QuPath open: written as it comes.

Legend: H W size of the slide, h number of rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tifffile import TiffWriter

from ..explain.colours import palette

TILE = 256  # side in pixels
SMALLEST = 512  # a level whose longer side is at most this is the last


def levels_of(size: Sequence[int]) -> int:
    """How often a slide of this size is halved."""
    count, longest = 0, max(size)
    while longest > SMALLEST:
        count, longest = count + 1, -(-longest // 2)
    return count


def write_pyramid(strips: Iterable[np.ndarray], size: tuple[int, int], file: BinaryIO | Path) -> None:
    """Write a label map.

    The full resolution goes straight to the file. The levels above it, every second row and column of the one below,
    are kept in memory: a third of its bytes.

    Args:
        strips: (h, W) uint8, from the top to the bottom.
        size:   H and W.
        file:   of the TIFF.

    Raises:
        ValueError: where the strips are others than the size says.
    """
    levels = [np.zeros([-(-side // 2**k) for side in size], np.uint8) for k in range(1, levels_of(size) + 1)]
    options: dict[str, Any] = {
        "photometric": "palette",
        "colormap": _colours(),
        "tile": (TILE, TILE),
        "compression": "zlib",
    }
    with TiffWriter(file, bigtiff=True) as writer:
        tiles = _tiles(_counted(strips, size, levels))
        writer.write(tiles, shape=size, dtype=np.uint8, subifds=len(levels), **options)
        for level in levels:
            writer.write(level, subfiletype=1, **options)


def _counted(strips: Iterable[np.ndarray], size: tuple[int, int], levels: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The same strips, whose rows are put into the levels as they pass."""
    first = 0
    for strip in strips:
        if strip.shape[1] != size[1] or first + len(strip) > size[0]:
            raise ValueError(
                f"Rows {first} to {first + len(strip)} of {strip.shape[1]} pixels are not of a {size} map."
            )
        for k, level in enumerate(levels, start=1):
            skip = -first % 2**k  # rows until the next one that the level has
            rows = strip[skip :: 2**k, :: 2**k]
            level[(first + skip) // 2**k :][: len(rows)] = rows
        first += len(strip)
        yield strip
    if first != size[0]:
        raise ValueError(f"There are {first} rows, expected {size[0]}.")


def _tiles(strips: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Strips of any height -> tiles, row by row; the last ones are filled with 0."""
    left: list[np.ndarray] = []
    for strip in strips:
        left.append(strip)
        while sum(map(len, left)) >= TILE:
            rows = np.concatenate(left)
            yield from _row(rows[:TILE])
            left = [rows[TILE:]]
    if sum(map(len, left)):
        yield from _row(np.concatenate(left))


def _row(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, rows.shape[1], TILE):
        tile = np.zeros((TILE, TILE), np.uint8)
        part = rows[:, start : start + TILE]
        tile[: part.shape[0], : part.shape[1]] = part
        yield tile


def _colours() -> np.ndarray:
    """(3, 256) uint16, as TIFF has them."""
    return np.array(palette(), np.uint16).reshape(256, 3).T * 257
