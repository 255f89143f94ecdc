"""Neighbouring slices are channels, in order; what lies beyond a volume is its border."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.transforms.neighbour_slices import NeighbourSlicesd


def channels(volume, neighbours):
    return NeighbourSlicesd("image", neighbours)({"image": volume})["image"]


def test_slices_get_those_before_and_after_them():
    volume = torch.tensor([[[[1.0, 2, 3]]], [[[10.0, 20, 30]]]])  # two channels, one pixel, three slices
    found = channels(volume, 1)[:, 0, 0]
    assert found.tolist() == [[1, 1, 2], [10, 10, 20], [1, 2, 3], [10, 20, 30], [2, 3, 3], [20, 30, 30]]


def test_without_neighbours_nothing_changes():
    volume = torch.rand(2, 3, 4, 5)
    assert torch.equal(channels(volume, 0), volume)


def test_a_single_slice_and_a_picture_are_their_own_neighbours():
    picture = torch.rand(1, 3, 4)
    found = channels(picture, 2)
    assert torch.equal(found, picture.expand(5, 3, 4))
    assert torch.equal(channels(picture[..., None], 2)[..., 0], found)


def test_the_geometry_is_kept():
    volume = MetaTensor(torch.rand(1, 2, 2, 3), affine=torch.diag(torch.tensor([1.0, 2, 3, 1])))
    assert torch.equal(channels(volume, 1).affine, volume.affine)


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="neighbours is -1, expected a number of slices from 0 up"):
        NeighbourSlicesd("image", -1)
