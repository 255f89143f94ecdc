"""Many tiles as one tensor: read from files as bytes, a quarter of floats, and as numbers in [0, 1] batch by batch.

Legend: N tiles, H W size.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .reader import ColourReader


def read_tiles(paths: Sequence[str | Path]) -> Tensor:
    """Pictures of 8 bits, all of one size -> (N, 3, H, W), uint8; grey ones get three equal channels.

    Raises:
        ValueError: where there is none, or one can not be read, is no picture of 8 bits, or has another size than the
            first; it names the file.
    """
    if not paths:
        raise ValueError("There are no tiles to read: check the folder.")
    reader = ColourReader()
    first = _tile(reader, paths[0])
    tiles = torch.empty((len(paths), *first.shape), dtype=torch.uint8)
    for place, path in enumerate(paths):
        tile = _tile(reader, path)
        if tile.shape != first.shape:
            found = f"{path} has {_size(tile)} pixels, but {paths[0]} has {_size(first)}"
            raise ValueError(f"{found}; expected tiles of one size: scale one of them.")
        tiles[place] = torch.from_numpy(tile)
    return tiles


def _tile(reader: ColourReader, path: str | Path) -> np.ndarray:
    """(3, H, W), uint8."""
    array, _ = reader.channels(str(path))  # (3, W, H)
    if array.ndim != 3 or array.min() < 0 or array.max() > 255:
        raise ValueError(f"{path} holds no 8 bits of a picture; expected values from 0 to 255: save it as a PNG.")
    return array.swapaxes(1, 2).astype(np.uint8)


def _size(tile: np.ndarray) -> str:
    return f"{tile.shape[1]} x {tile.shape[2]}"


def unit_range(tiles: Tensor) -> Tensor:
    """(..., 3, H, W), uint8 or floats in [0, 1] -> float32 in [0, 1].

    Raises:
        ValueError: where the channels are not three, or values are not finite or outside of [0, 1].
    """
    if tiles.ndim < 4 or tiles.shape[-3] != 3:
        raise ValueError(f"Tiles have shape {tuple(tiles.shape)}, expected (N, 3, H, W): give red, green and blue.")
    if tiles.dtype == torch.uint8:
        return tiles.float() / 255
    if not (tiles.numel() and tiles.min() >= 0 and tiles.max() <= 1):  # NaN fails too
        found = f"{float(tiles.min()):.3g} to {float(tiles.max()):.3g}" if tiles.numel() else "nothing"
        raise ValueError(f"Tiles hold {found}, expected [0, 1]: scale them.")
    return tiles.float()
