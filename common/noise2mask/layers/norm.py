"""Norms by name; GroupNorm for any width."""

from math import gcd

from torch import nn

NORMS = ("batch", "group")


def group_norm(num_groups: int, channels: int) -> nn.GroupNorm:
    """GroupNorm with the largest number of groups that divides both `num_groups` and `channels`."""
    return nn.GroupNorm(gcd(num_groups, channels), channels)


def norm_layer(name: str, num_groups: int, channels: int) -> nn.Module:
    """BatchNorm ("batch") or GroupNorm ("group").

    Raises:
        ValueError: where the name is neither.
    """
    if name not in NORMS:
        raise ValueError(f"norm is 'batch' or 'group', found {name!r}.")
    return nn.BatchNorm2d(channels) if name == "batch" else group_norm(num_groups, channels)
