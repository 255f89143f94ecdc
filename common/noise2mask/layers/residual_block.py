"""Residual blocks of MedSegDiff's encoders and decoder, as in improved DDPM (Nichol and Dhariwal 2021).

Legend: B batch, C channels, H W D size, E width of the time embedding.
"""

from collections.abc import Iterable

import torch
from monai.networks.layers.factories import Conv
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn

from .norm import group_norm


class ResidualBlock(nn.Module):
    """Two times GroupNorm -> SiLU -> Conv3x3, the time embedding added between both, and a shortcut.

    Args:
        in_channels:  of the input.
        channels:     C of the output.
        time_width:   E; None for a block that does not see the timestep.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self, in_channels: int, channels: int, time_width: int | None, num_groups: int, spatial_dims: int = 2
    ) -> None:
        super().__init__()
        convolution = Conv[Conv.CONV, spatial_dims]
        self.first = nn.Sequential(
            group_norm(num_groups, in_channels), nn.SiLU(), convolution(in_channels, channels, 3, padding=1)
        )
        self.time = None if time_width is None else nn.Sequential(nn.SiLU(), nn.Linear(time_width, channels))
        last = zero_module(convolution(channels, channels, 3, padding=1))  # at the start the shortcut (improved DDPM)
        self.second = nn.Sequential(group_norm(num_groups, channels), nn.SiLU(), last)
        self.shortcut = nn.Identity() if in_channels == channels else convolution(in_channels, channels, 1)

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """(B, in_channels, H, W[, D]), embedding (B, E) or (1, E) -> (B, C, H, W[, D])."""
        u = self.first(x)  # (B, C, H, W[, D])
        if self.time is not None:
            vector = self.time(embedding)  # (B, C) or (1, C)
            u = u + vector.reshape(*vector.shape, *[1] * (u.ndim - 2))  # (B, C, H, W[, D])
        return self.shortcut(x) + self.second(u)  # (B, C, H, W[, D])


class Stage(nn.ModuleList):
    """Residual blocks at one size; the first one changes the width."""

    def __init__(
        self, in_channels: int, channels: int, blocks: int, time_width: int | None, num_groups: int, spatial_dims: int
    ) -> None:
        widths: Iterable[int] = [in_channels, *[channels] * (blocks - 1)]
        super().__init__(ResidualBlock(width, channels, time_width, num_groups, spatial_dims) for width in widths)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """(B, in_channels, H, W[, D]), embedding (B, E) or (1, E) -> (B, C, H, W[, D])."""
        for block in self:
            x = block(x, embedding)  # (B, C, H, W[, D])
        return x


class UpStage(nn.Module):
    """Nearest x2 -> Conv3x3 -> concatenate the skip -> residual blocks.

    Args:
        in_channels:  of the input.
        channels:     C of the skip and of the output.
        blocks:       residual blocks.
        time_width:   E; None for blocks that do not see the timestep.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self, in_channels: int, channels: int, blocks: int, time_width: int | None, num_groups: int, spatial_dims: int
    ) -> None:
        super().__init__()
        convolution = Conv[Conv.CONV, spatial_dims](in_channels, channels, 3, padding=1)
        self.up = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), convolution)
        self.stage = Stage(2 * channels, channels, blocks, time_width, num_groups, spatial_dims)

    def forward(self, x: Tensor, skip: Tensor, embedding: Tensor | None = None) -> Tensor:
        """(B, in_channels, h, w[, d]), (B, C, 2h, 2w[, 2d]), (B, E) or (1, E) -> (B, C, 2h, 2w[, 2d])."""
        return self.stage(torch.cat([self.up(x), skip], dim=1), embedding)  # (B, C, 2h, 2w[, 2d])
