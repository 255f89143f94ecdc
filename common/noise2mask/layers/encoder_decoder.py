"""Encoder and decoder of a U-Net of residual blocks, which MedSegDiff's networks are put together from.

Legend: B batch, n stages, c_k channels of stage k = 0 .. n-1, H W D size (D in 3D alone), E width of the time
embedding, s_k = (H/2^k, W/2^k[, D/2^k]).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn

from .norm import group_norm
from .residual_block import Stage, UpStage


class Encoder(nn.Module):
    """A stem, and stages of residual blocks, each with the strided convolution behind it.

    Args:
        in_channels:  of the image or of the noisy mask.
        widths:       c_k of the n stages.
        blocks:       residual blocks of each.
        times:        E for stages that see the timestep, None for those that do not.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        times: Sequence[int | None],
        num_groups: int,
        spatial_dims: int,
    ) -> None:
        super().__init__()
        convolution = Conv[Conv.CONV, spatial_dims]
        self.stem = convolution(in_channels, widths[0], 3, padding=1)
        made = zip(pairwise([widths[0], *widths]), blocks, times, strict=True)
        self.stages = nn.ModuleList(Stage(i, o, count, time, num_groups, spatial_dims) for (i, o), count, time in made)
        self.downs = nn.ModuleList(convolution(width, width, 3, stride=2, padding=1) for width in widths)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """x (B, in_channels, *s_0), embedding (B, E) or (1, E) -> (B, c_n-1, *s_n), skips [(B, c_k, *s_k)]."""
        x, skips = self.stem(x), []  # (B, c_0, *s_0)
        for stage, down in zip(self.stages, self.downs, strict=True):
            skips.append(stage(x, embedding))  # (B, c_k, *s_k)
            x = down(skips[-1])  # (B, c_k, *s_k+1)
        return x, skips  # (B, c_n-1, *s_n), [(B, c_0, *s_0), ..]


class Decoder(nn.Module):
    """A stage per skip, the deepest first; then norm and a convolution that starts at zero (improved DDPM).

    Args:
        in_channels:  of what comes from the trunk.
        widths:       c_k of the skips, and of the stages that take them.
        blocks:       residual blocks of a stage.
        out_channels: of the prediction.
        time_width:   E; None for a decoder that does not see the timestep.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        blocks: int,
        out_channels: int,
        time_width: int | None,
        num_groups: int,
        spatial_dims: int,
    ) -> None:
        super().__init__()
        outs = list(reversed(widths))
        pairs = pairwise([in_channels, *outs])
        self.stages = nn.ModuleList(UpStage(i, o, blocks, time_width, num_groups, spatial_dims) for i, o in pairs)
        last = zero_module(Conv[Conv.CONV, spatial_dims](widths[0], out_channels, 3, padding=1))
        self.output = nn.Sequential(group_norm(num_groups, widths[0]), nn.SiLU(), last)

    def forward(self, m: Tensor, skips: Sequence[Tensor], embedding: Tensor | None = None) -> Tensor:
        """m (B, in_channels, *s_n), skips [(B, c_k, *s_k)], embedding (B, E) or (1, E) -> (B, out_channels, *s_0)."""
        return self.output(self.features(m, skips, embedding)[0])  # (B, out_channels, *s_0)

    def features(self, m: Tensor, skips: Sequence[Tensor], embedding: Tensor | None = None) -> list[Tensor]:
        """What `forward` makes its output from, [(B, c_k, *s_k), k = 0 .. n-1]; arguments as there."""
        made = []
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            m = stage(m, skip, embedding)  # (B, c_k, *s_k), k = n-1 .. 0
            made.append(m)
        return made[::-1]  # [(B, c_0, *s_0), ..]


def padded(x: Tensor, stride: int) -> Tensor:
    """To multiples of the stride at the far ends of all axes, by repeating the border: (B, C, H, W[, D]) -> larger."""
    missing = [-size % stride for size in x.shape[2:]]
    if not any(missing):
        return x
    return F.pad(x, [amount for size in reversed(missing) for amount in (0, size)], mode="replicate")


def cropped(x: Tensor, size: Sequence[int]) -> Tensor:
    """`padded` undone: (B, C, ...) -> (B, C, *size), from the near ends."""
    index: tuple[Any, ...] = (..., *map(slice, size))
    return x[index]
