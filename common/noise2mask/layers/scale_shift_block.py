"""Residual block of DSDM: the timestep scales and shifts, size changes inside, plain norms or SPADE's.

As the residual blocks of Dhariwal and Nichol 2021, "Diffusion models beat GANs on image synthesis", section 3, that
semantic diffusion models build on.

Legend: B images, N samples of each, M = B * N, C channels, K classes of a mask, H W size, h w that of the output, E
width of the time embedding.
"""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn

from ..names import check_name
from .norm import group_norm
from .spade import SpadeNorm

RESAMPLE = ("none", "down", "up")


class ScaleShiftBlock(nn.Module):
    """Norm -> SiLU -> resample -> Conv3x3 -> Norm -> * (1 + scale) + shift -> SiLU -> Conv3x3, and a shortcut.

    Args:
        in_channels: of the input.
        channels:    C of the output.
        time_width:  E.
        num_groups:  of GroupNorm.
        classes:     K of the mask that SPADE reads; None for GroupNorm with weights of its own.
        resample:    "down" (mean of 2 x 2), "up" (nearest) or "none"; shortcut and convolutions alike.
        dropout:     share of the second convolution's input that is dropped in training.
        hidden:      channels between mask and modulation of SPADE.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        time_width: int,
        num_groups: int,
        classes: int | None = None,
        resample: Literal["none", "down", "up"] = "none",
        dropout: float = 0.0,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        check_name("resample", resample, RESAMPLE)
        self.resample = resample
        self.norms = nn.ModuleList(_norm(width, classes, num_groups, hidden) for width in (in_channels, channels))
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * channels))
        last = zero_module(nn.Conv2d(channels, channels, 3, padding=1))  # at the start the shortcut
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), last)
        self.shortcut = nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor, embedding: Tensor, modulations: Sequence[Tensor] | None = None) -> Tensor:
        """One evaluation.

        Args:
            x:           (M, in_channels, H, W).
            embedding:   (M, E) or (1, E).
            modulations: of both SPADE norms: (B, 2 in_channels, H, W) and (B, 2C, h, w), or (1, 2C, 1, 1); None for
                GroupNorm.

        Returns:
            (M, C, h, w).
        """
        scale, shift = self.time(embedding)[..., None, None].chunk(2, dim=1)  # (M, C, 1, 1) twice
        u = self._resampled(F.silu(self._normed(0, x, modulations)))  # (M, in_channels, h, w)
        u = self._normed(1, self.first(u), modulations)  # (M, C, h, w)
        u = self.second(u * (1 + scale) + shift)  # (M, C, h, w)
        return self.shortcut(self._resampled(x)) + u  # (M, C, h, w)

    def _normed(self, which: int, x: Tensor, modulations: Sequence[Tensor] | None) -> Tensor:
        norm = self.norms[which]
        return norm(x) if modulations is None else norm(x, modulations[which])  # as x

    def _resampled(self, x: Tensor) -> Tensor:
        """(M, ., H, W) -> (M, ., h, w)."""
        if self.resample == "down":
            return F.avg_pool2d(x, 2)  # (M, ., H / 2, W / 2)
        return F.interpolate(x, scale_factor=2, mode="nearest") if self.resample == "up" else x  # (M, ., h, w)


def _norm(channels: int, classes: int | None, num_groups: int, hidden: int) -> nn.Module:
    return group_norm(num_groups, channels) if classes is None else SpadeNorm(channels, classes, num_groups, hidden)
