"""Norms by name; GroupNorm for any width; LayerNorm over the channels.

Legend: B batch, C channels, H W D size.
"""

from math import gcd

import torch.nn.functional as F
from torch import Tensor, nn

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


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every place, with a scale and a shift per channel: any image size will do."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same."""
        last = x.movedim(1, -1)  # (B, H, W[, D], C)
        normed = F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps)  # (B, H, W[, D], C)
        return normed.movedim(-1, 1)  # (B, C, H, W[, D])
