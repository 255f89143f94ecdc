"""The eight ways to lay a tile: all different, and of oblongs those that keep the size."""

import torch

from noise2mask.data.symmetry import SYMMETRIES, laid, symmetries_of


def test_all_eight_differ_hold_the_same_values_and_the_first_is_the_tile_itself():
    tile = torch.arange(18.0).reshape(2, 3, 3)
    ways = [laid(tile, number) for number in range(SYMMETRIES)]
    assert torch.equal(ways[0], tile) and len({tuple(way.flatten().tolist()) for way in ways}) == 8
    assert all(torch.equal(way.flatten(1).sort().values, tile.flatten(1)) for way in ways)
    assert [*symmetries_of(tile)] == [1, 2, 3, 4, 5, 6, 7]


def test_by_hand():
    tile = torch.tensor([[1, 2], [3, 4]])
    assert laid(tile, 1).tolist() == [[2, 4], [1, 3]] and laid(tile, 2).tolist() == [[4, 3], [2, 1]]
    assert laid(tile, 4).tolist() == [[2, 1], [4, 3]] and laid(tile, 6).tolist() == [[3, 4], [1, 2]]


def test_of_an_oblong_tile_those_are_named_that_keep_its_size():
    tile = torch.arange(6.0).reshape(1, 2, 3)
    assert [number for number in range(1, SYMMETRIES) if laid(tile, number).shape == tile.shape] == [2, 4, 6]
    assert [*symmetries_of(tile)] == [2, 4, 6]
