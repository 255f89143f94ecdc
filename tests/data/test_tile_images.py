"""Tiles from files: rows are rows, one size, 8 bits."""

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.data.tile_images import read_tiles, unit_range


def saved(folder, name, array):
    Image.fromarray(array).save(folder / name)
    return folder / name


def test_rows_are_rows_colours_are_colours_and_grey_is_three_equal_channels(tmp_path):
    colour = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    paths = [saved(tmp_path, "a.png", colour), saved(tmp_path, "b.png", colour[..., 0])]
    tiles = read_tiles(paths)
    assert tiles.dtype == torch.uint8 and tiles.shape == (2, 3, 5, 4)
    assert torch.equal(tiles[0], torch.from_numpy(colour).permute(2, 0, 1))
    assert torch.equal(tiles[1], tiles[0, :1].expand(3, -1, -1))


def test_bytes_and_floats_are_the_same_tiles():
    tiles = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert unit_range(tiles).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert torch.equal(unit_range(unit_range(tiles)), unit_range(tiles))


def test_files_that_are_no_tiles_of_one_size_are_named(tmp_path):
    small, large = (saved(tmp_path, f"{side}.png", np.zeros((side, 8, 3), np.uint8)) for side in (8, 9))
    with pytest.raises(ValueError, match=r"9.png has 9 x 8 pixels, but .*8.png has 8 x 8; expected tiles of one size"):
        read_tiles([small, large])
    deep = saved(tmp_path, "deep.png", np.full((8, 8), 4000, np.uint16))
    with pytest.raises(ValueError, match=r"deep.png holds no 8 bits of a picture; expected values from 0 to 255"):
        read_tiles([deep])
    large.write_bytes(large.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"9.png can not be read as an image"):
        read_tiles([large])
    with pytest.raises(ValueError, match="There are no tiles to read"):
        read_tiles([])


@pytest.mark.parametrize(
    "tiles, found",
    [
        (torch.full((1, 3, 2, 2), 7.0), r"Tiles hold 7 to 7, expected \[0, 1\]"),
        (torch.full((1, 3, 2, 2), torch.nan), "Tiles hold nan to nan"),
        (torch.zeros(0, 3, 2, 2), "Tiles hold nothing"),
        (torch.zeros(1, 1, 2, 2), r"shape \(1, 1, 2, 2\), expected \(N, 3, H, W\)"),
        (torch.zeros(3, 2, 2), "give red, green and blue"),
    ],
)
def test_other_values_and_shapes_are_refused(tiles, found):
    with pytest.raises(ValueError, match=found):
        unit_range(tiles)
