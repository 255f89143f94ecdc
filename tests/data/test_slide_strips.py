"""A slide from its tiles: where none overlap the tiles themselves, else their weighted mean, by hand."""

import numpy as np
import pytest

from noise2mask.data.slide_strips import blended, window


def cut(slide, side, stride):
    """Tiles of a slide (K, H, W), row by row, as many as it takes; beyond its end they hold 9."""
    high, wide = slide.shape[1:]
    padded = np.pad(slide, ((0, 0), (0, side), (0, side)), constant_values=9)
    for top in range(0, max(1, high - side + stride), stride):
        for left in range(0, max(1, wide - side + stride), stride):
            yield top, left, padded[:, top : top + side, left : left + side]


def slide(high=13, wide=11):
    return np.random.default_rng(0).random((2, high, wide)).astype(np.float32)


@pytest.mark.parametrize("stride", [4, 3, 2, 1])
@pytest.mark.parametrize("size", [(13, 11), (8, 8), (3, 4)])
def test_tiles_that_agree_give_the_slide_again_however_they_overlap(stride, size):
    whole = slide(*size)
    strips = list(blended(cut(whole, 4, stride), size[1], size[0]))
    assert np.allclose(np.concatenate(strips, axis=1), whole, atol=1e-6)
    assert all(strip.shape[1] <= 4 for strip in strips)


def test_tiles_that_do_not_overlap_are_the_slide_to_the_last_bit():
    whole = slide(8, 8)
    tiles = list(cut(whole, 4, 4))
    found = np.concatenate(list(blended(tiles, 8, 8)), axis=1)
    assert all(np.allclose(found[:, top : top + 4, left : left + 4], tile, atol=1e-7) for top, left, tile in tiles)


def test_where_tiles_disagree_the_one_whose_border_is_farther_counts_more():
    assert window(4)[0].tolist() == [1, 2, 2, 1] and window(3)[1].tolist() == [2, 4, 2]
    zeros, ones = np.zeros((1, 4, 4)), np.ones((1, 4, 4))
    (strip,) = blended([(0, 0, zeros), (0, 2, ones)], 6, 4)
    assert np.allclose(strip[0, 0], [0, 0, 1 / 3, 2 / 3, 1, 1])
    first, second = blended([(0, 0, zeros), (2, 0, ones)], 4, 6)
    assert np.allclose(first[0, :, 0], [0, 0]) and np.allclose(second[0, :, 0], [1 / 3, 2 / 3, 1, 1])


def test_of_no_tiles_there_is_no_strip():
    assert list(blended([], 4, 4)) == []
