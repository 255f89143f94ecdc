"""Units of PGDiffSeg's two encoders, bottleneck and decoder (figure 12).

Legend: B batch, C channels, H W size.
"""

import torch
from torch import Tensor, nn

from .norm import group_norm
from .self_attention import SelfAttention
from .time_embedding import TimeVector


def block(in_channels: int, channels: int, num_groups: int) -> nn.Sequential:
    """GroupNorm -> SiLU -> Conv3x3.

    Deviation: equation 20, read as a composition, would put the convolution first, because figure 12 draws this order.
    """
    return nn.Sequential(group_norm(num_groups, in_channels), nn.SiLU(), nn.Conv2d(in_channels, channels, 3, padding=1))


class ResidualPair(nn.Module):
    """u = block1(x), y = block2(u) + u: the residual goes around the second block only, so it needs no shortcut."""

    def __init__(self, in_channels: int, channels: int, num_groups: int) -> None:
        super().__init__()
        self.block1 = block(in_channels, channels, num_groups)
        self.block2 = block(channels, channels, num_groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, C, H, W)."""
        x = self.block1(x)  # (B, C, H, W)
        return self.block2(x) + x  # (B, C, H, W)


class EncoderUnit(nn.Module):
    """Condition unit = denoising unit (figure 12a): add the time vector, residual pair, convolution of stride 2.

    Args:
        in_channels: of the input.
        channels:    C of both outputs.
        time_dim:    width of the timestep's sinusoid; None for a unit that does not see the timestep.
        num_groups:  of GroupNorm.
    """

    def __init__(self, in_channels: int, channels: int, time_dim: int | None, num_groups: int) -> None:
        super().__init__()
        self.time = None if time_dim is None else TimeVector(time_dim, in_channels)
        self.pair = ResidualPair(in_channels, channels, num_groups)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, timesteps: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, in_channels, H, W), (B,) or (1,) -> skip (B, C, H, W) before and (B, C, H/2, W/2) after downsampling."""
        if self.time is not None:
            x = x + self.time(timesteps)  # (B, in_channels, H, W)
        skip = self.pair(x)  # (B, C, H, W)
        return skip, self.down(skip)  # (B, C, H, W), (B, C, H/2, W/2)


class Bottleneck(nn.Module):
    """Residual pair -> self-attention -> residual pair (figure 12b), without a time vector."""

    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__()
        self.pair1 = ResidualPair(channels, channels, num_groups)
        self.attention = SelfAttention(channels, num_groups)
        self.pair2 = ResidualPair(channels, channels, num_groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.pair2(self.attention(self.pair1(x)))  # (B, C, H, W)


class UpUnit(nn.Module):
    """Add the time vector -> nearest x2 -> conv3x3 -> concatenate the skip -> residual pair (figure 12c).

    Args:
        channels:     C of input and skip.
        out_channels: of the output.
        time_dim:     width of the timestep's sinusoid.
        num_groups:   of GroupNorm.
    """

    def __init__(self, channels: int, out_channels: int, time_dim: int, num_groups: int) -> None:
        super().__init__()
        self.time = TimeVector(time_dim, channels)
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.pair = ResidualPair(2 * channels, out_channels, num_groups)

    def forward(self, x: Tensor, skip: Tensor, timesteps: Tensor) -> Tensor:
        """(B, C, H, W), (B, C, 2H, 2W), (B,) or (1,) -> (B, out_channels, 2H, 2W)."""
        x = self.up(x + self.time(timesteps))  # (B, C, 2H, 2W)
        return self.pair(torch.cat([x, skip], dim=1))  # (B, out_channels, 2H, 2W)
