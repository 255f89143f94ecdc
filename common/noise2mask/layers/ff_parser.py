"""FF-Parser of MedSegDiff (section II-B, equations 4 to 6): a learned filter on the Fourier spectrum of a feature map.

Legend: B batch, C channels, H W D size, G stored frequencies per axis.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn


class FFParser(nn.Module):
    """Multiplies the spectrum of every channel with a learned complex filter; the identity at the start.

    The filter is stored on a grid of frequencies and interpolated to those of the feature map, so that it has the same
    frequency response at any size. A grid of G frequencies reaches about G / 2 pixels far.

    Args:
        channels:     C.
        spatial_dims: 2 or 3.
        grid:         G, even. The filter has C * G^(spatial_dims - 1) * (G / 2 + 1) complex weights.

    Raises:
        ValueError: where the grid is odd or too small, or spatial_dims is neither 2 nor 3.
    """

    def __init__(self, channels: int, spatial_dims: int = 2, grid: int = 64) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}, expected 2 or 3.")
        if grid < 2 or grid % 2:
            raise ValueError(f"grid is {grid}, expected an even number of frequencies from 2 up.")
        self.grid = grid
        # Deviation: half a spectrum, where equation 5 has a whole one (C x H x W), because only conjugate-symmetric
        # filters keep a feature map real; and a grid of its own, because the paper's weights fit one image size.
        weight = torch.zeros(channels, *[grid] * (spatial_dims - 1), grid // 2 + 1, 2)
        weight[..., 0] = 1.0
        self.weight = nn.Parameter(weight)  # (C, G[, G], G/2 + 1, 2), real and imaginary part

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same shape and type; computed in float32 also under autocast."""
        with torch.autocast(x.device.type, enabled=False):  # spectra of half precision overflow, or are not supported
            axes = tuple(range(2, x.ndim))
            spectrum = torch.fft.rfftn(x.float(), dim=axes, norm="ortho")  # (B, C, H, W/2 + 1), equation 4
            filtered = self.filter(x.shape[2:]) * spectrum  # (B, C, H, W/2 + 1), equation 5
            mapped = torch.fft.irfftn(filtered, s=x.shape[2:], dim=axes, norm="ortho")  # (B, C, H, W), equation 6
        return mapped.to(x.dtype)  # (B, C, H, W[, D])

    def filter(self, size: torch.Size) -> Tensor:
        """The complex filter at the frequencies of a map of this size: (C, H, W/2 + 1), or (C, H, W, D/2 + 1)."""
        weight = _symmetric(self.weight.float())  # (C, G[, G], G/2 + 1, 2)
        for axis, length in enumerate(size, start=1):
            last = axis == len(size)
            weights = _interpolation(length, self.grid, last, weight.device)  # (frequencies, stored)
            weight = torch.tensordot(weight, weights, dims=([axis], [1])).movedim(-1, axis)  # (C, H, ..., 2)
        return torch.view_as_complex(weight.contiguous())  # (C, H[, W], W/2 + 1)


def _symmetric(weight: Tensor) -> Tensor:
    """Conjugate-symmetric in the columns that stand for both signs of a frequency, 0 and G/2, so the map stays real."""
    axes = tuple(range(1, weight.ndim - 2))
    conjugate = weight.new_tensor([1.0, -1.0])

    def symmetric(column: Tensor) -> Tensor:  # (C, G[, G], 2)
        mirrored = column.flip(axes).roll([1] * len(axes), axes)  # row r -> row -r, periodically
        return (column + mirrored * conjugate) / 2

    first, last = symmetric(weight[..., 0, :]), symmetric(weight[..., -1, :])
    return torch.cat([first[..., None, :], weight[..., 1:-1, :], last[..., None, :]], dim=-2)


@lru_cache(maxsize=64)  # every step of a sampler asks for the same
@torch.inference_mode(False)  # what is kept must serve training too
def _interpolation(length: int, grid: int, half: bool, device: torch.device) -> Tensor:
    """Linear weights (frequencies of an axis of this length, stored frequencies).

    The stored frequencies are multiples of 1 / G: periodic on a full axis, 0 .. 1/2 on the half one.
    """
    frequencies = torch.fft.rfftfreq(length) if half else torch.fft.fftfreq(length)
    place = frequencies.double() * grid  # in units of stored frequencies
    below = place.floor()
    share = (place - below).float()  # of the next one
    stored = grid // 2 + 1 if half else grid
    first = below.long() % grid if not half else below.long()
    second = (first + 1) % grid if not half else (first + 1).clamp(max=stored - 1)
    weights = torch.zeros(len(place), stored)
    rows = torch.arange(len(place))
    weights.index_put_((rows, first), 1 - share, accumulate=True)
    weights.index_put_((rows, second), share, accumulate=True)
    return weights.to(device)
