"""GroupNorm for any width; LayerNorm over the channels."""

import pytest
import torch

from noise2mask.layers.norm import ChannelNorm, group_norm


@pytest.mark.parametrize(("groups", "channels", "expected"), [(16, 64, 16), (16, 24, 8), (16, 7, 1), (1, 64, 1)])
def test_groups_divide_the_width(groups, channels, expected):
    norm = group_norm(groups, channels)
    assert (norm.num_groups, norm.num_channels) == (expected, channels)


@pytest.mark.parametrize("size", [(1, 2), (2, 1, 1)])
def test_every_place_is_normed_over_its_channels(size):
    x = torch.tensor([[1.0, 5.0], [3.0, 5.5]]).reshape(1, 2, *size)  # places (1, 3) and (5, 5.5)
    norm = ChannelNorm(2)
    norm.bias.data.copy_(torch.tensor([0.0, 1.0]))
    assert torch.allclose(norm(x).reshape(2, 2), torch.tensor([[-1.0, -1.0], [2.0, 2.0]]), atol=1e-3)
