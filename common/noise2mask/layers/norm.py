"""Norms by name; GroupNorm for any width; LayerNorm over the channels, also with the timestep's scale and shift.

Legend: B batch, C channels, H W D size, T timesteps, E width of the time embedding.
"""

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("batch", "group")
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # by the number of a tensor's axes


def group_norm(num_groups: int, channels: int, affine: bool = True) -> nn.GroupNorm:
    """GroupNorm with the largest number of groups that divides both `num_groups` and `channels`."""
    return GroupNorm(gcd(num_groups, channels), channels, affine=affine)


def norm_layer(name: str, num_groups: int, channels: int) -> nn.Module:
    """BatchNorm ("batch") or GroupNorm ("group").

    Raises:
        ValueError: where the name is neither.
    """
    if name not in NORMS:
        raise ValueError(f"norm is 'batch' or 'group', found {name!r}.")
    return nn.BatchNorm2d(channels) if name == "batch" else group_norm(num_groups, channels)


class GroupNorm(nn.GroupNorm):
    """GroupNorm that is as fast on a CPU when the channels come last in memory as when they come first.

    PyTorch 2.13's kernel for that layout takes several times as long, the longer the more groups: with one group per
    channel 64 ms for 2 (8 x 16 x 128 x 128, bfloat16). Two copies cost less; `benchmarks/group_norm.py` measures it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same, in the same layout."""
        layout = CHANNELS_LAST.get(x.ndim)
        if layout is None or x.device.type != "cpu" or x.is_contiguous() or not x.is_contiguous(memory_format=layout):
            return super().forward(x)  # (B, C, H, W[, D])
        return super().forward(x.contiguous()).contiguous(memory_format=layout)  # (B, C, H, W[, D])


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every place, with a scale and a shift per channel: any image size will do."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same."""
        last = x.movedim(1, -1)  # (B, H, W[, D], C)
        normed = F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps)  # (B, H, W[, D], C)
        return normed.movedim(-1, 1)  # (B, C, H, W[, D])


class TimeNorm(nn.Module):
    """LayerNorm over the last axis, then (1 + scale) * x + shift, both from the timestep.

    Args:
        channels:   C.
        time_width: E.
    """

    def __init__(self, channels: int, time_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * channels))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (T, ..., C) or (1, ..., C), embedding (T, E) or (1, E) -> (T, ..., C)."""
        vector = self.time(embedding)  # (T, 2C)
        scale, shift = vector.reshape(len(vector), *[1] * (x.ndim - 2), -1).chunk(2, dim=-1)  # (T, 1, ..., C) twice
        return (1 + scale) * self.norm(x) + shift  # (T, ..., C)
