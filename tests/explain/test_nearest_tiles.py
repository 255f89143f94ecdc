"""The picture of nearest tiles shows both in their colours, the training tile as it was turned."""

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.explain.nearest_tiles import _pictures, write_nearest_tiles

ROW = {"generated": 1, "training": 0, "way": 5, "distance": 0.01, "pixel_rms": 0.2, "suspicious": True}


def coloured(*colours):
    return torch.tensor(colours, dtype=torch.uint8)[..., None, None].expand(-1, -1, 8, 8)


def test_tiles_and_their_difference_are_drawn_in_their_colours(tmp_path):
    generated, training = coloured((9, 200, 9), (255, 102, 0)), coloured((51, 0, 204))
    path = write_nearest_tiles([ROW, {**ROW, "generated": 0}], generated, training, tmp_path / "a.png", count=1)
    picture = np.asarray(Image.open(path).convert("RGB"))
    pixels = picture.reshape(-1, 3)
    assert picture.shape == (220, 600, 3)
    for colour in ((255, 102, 0), (51, 0, 204), (204, 102, 204)):
        assert (pixels == colour).all(axis=1).any()
    assert not (pixels == (9, 200, 9)).all(axis=1).any()


def test_the_training_tile_is_shown_as_it_was_compared():
    tile = torch.rand(1, 3, 4, 4)
    generated = torch.cat([tile, torch.rot90(tile.flip(-1), 1, (-2, -1))])
    first, second, difference = _pictures(ROW, generated, tile)
    assert torch.equal(first, second) and not difference.any()


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no generated tiles to show"):
        write_nearest_tiles([], torch.zeros(0, 3, 8, 8), torch.zeros(0, 3, 8, 8), tmp_path / "a.png")
