"""U-SA of MedSegDiff-V2: uncertain spatial attention (Wu et al. 2024, section on the anchor condition, equations 2, 3).

The image's decoded features (the anchor) are smoothed by a learned Gaussian, so that the attention they give reaches
beyond their own uncertain border; one gate per place then scales the diffusion network's features.

Legend: B images, N samples of each, M = B * N, C channels, H W D size.
"""

from math import log

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

REACH = 3  # pixels: the Gaussian has 2 * 3 + 1 taps per axis, and its centre stays among them
SIGMA = (0.1, 3.0)  # pixels: below, all weight is on one tap; above, the taps no longer hold the Gaussian


class UncertainAttention(nn.Module):
    """The gate: Sigmoid(Conv1x1(f_anc)), f_anc = Max(f_c * k_Gauss, f_c); f_c the anchor's features.

    Every channel has a Gaussian of its own, with learned mean and deviation; at the start they are 0 and 1 pixel.

    Args:
        channels:     C of the anchor's features.
        spatial_dims: 2 or 3.
        uncertain:    False for plain spatial attention: no Gaussian and no maximum (ablation).
    """

    def __init__(self, channels: int, spatial_dims: int = 2, uncertain: bool = True) -> None:
        super().__init__()
        self.gaussian = Gaussian(channels, spatial_dims) if uncertain else None
        self.reduce = Conv[Conv.CONV, spatial_dims](channels, 1, 1)

    def forward(self, anchor: Tensor) -> Tensor:
        """The image's features (B, C, H, W[, D]) -> the gate (B, 1, H, W[, D]) in (0, 1), once per image."""
        if self.gaussian is not None:
            anchor = torch.maximum(self.gaussian(anchor), anchor)  # (B, C, H, W[, D]), equation 2
        return self.reduce(anchor).sigmoid()  # (B, 1, H, W[, D])


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """Equation 3: x (M, C, H, W[, D]), image-major, gate (B, 1, H, W[, D]) -> gate * x + x, (M, C, H, W[, D])."""
    x = x.unflatten(0, (len(gate), -1))  # (B, N, C, H, W[, D])
    return (x * gate[:, None] + x).flatten(0, 1)  # (M, C, H, W[, D])


class Gaussian(nn.Module):
    """Smooths every channel with a Gaussian, sampled at 7 taps per axis and normalised over them; borders repeat.

    Args:
        channels:     C.
        spatial_dims: 2 or 3.
    """

    def __init__(self, channels: int, spatial_dims: int = 2) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(spatial_dims, channels))  # the mean is 3 tanh of it
        self.log_sigma = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same."""
        channels, dims = x.shape[1], x.ndim - 2
        convolve = F.conv2d if dims == 2 else F.conv3d
        x = F.pad(x, [REACH] * 2 * dims, mode="replicate")  # (B, C, H + 6, W + 6[, D + 6])
        for axis, taps in enumerate(self.taps()):  # a Gaussian is a product over the axes, and so is its norm
            size = [-1 if other == axis else 1 for other in range(dims)]
            x = convolve(x, taps.reshape(channels, 1, *size).to(x.dtype), groups=channels)  # 6 less on this axis
        return x  # (B, C, H, W[, D])

    def taps(self) -> Tensor:
        """Weights (axes, C, 7) of the pixels -3 .. 3 from each pixel, on every axis; they sum to 1.

        In form of a softmax, with mean and deviation in bounds, they are finite for any parameters.
        """
        place = torch.arange(-REACH, REACH + 1, device=self.shift.device)  # (7,)
        mean = REACH * self.shift.tanh()[..., None]  # (axes, C, 1)
        sigma = self.log_sigma.clamp(*map(log, SIGMA)).exp()[:, None]  # (C, 1)
        return (-(place - mean).square() / (2 * sigma.square())).softmax(dim=-1)  # (axes, C, 7)
