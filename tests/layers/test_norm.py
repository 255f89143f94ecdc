"""GroupNorm for any width."""

import pytest

from noise2mask.layers.norm import group_norm


@pytest.mark.parametrize(("groups", "channels", "expected"), [(16, 64, 16), (16, 24, 8), (16, 7, 1), (1, 64, 1)])
def test_groups_divide_the_width(groups, channels, expected):
    norm = group_norm(groups, channels)
    assert (norm.num_groups, norm.num_channels) == (expected, channels)
