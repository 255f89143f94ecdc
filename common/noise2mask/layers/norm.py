"""GroupNorm for any width."""

from math import gcd

from torch import nn


def group_norm(num_groups: int, channels: int) -> nn.GroupNorm:
    """GroupNorm with the largest number of groups that divides both `num_groups` and `channels`."""
    return nn.GroupNorm(gcd(num_groups, channels), channels)
