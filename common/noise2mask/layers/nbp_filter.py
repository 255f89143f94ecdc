"""NBP-Filter of MedSegDiff-V2 (Wu et al. 2024, section on SS-Former): which pairs of frequencies may meet, by timestep.

A network turns the two frequencies of an entry of the spectral affinity, of the query and of the key, into a factor
between 0 and 1. Both are radial, so that a filtered affinity stays real in space, and the map has as many rows as the
grid has different radii: 42 at 16 x 16, for 256 frequencies.

Legend: T timesteps (one per image, or 1 for all), E width of the time embedding, h heads, H W D size of the grid of
tokens, L = H * W [* D] tokens and frequencies, U radii.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

import torch
from torch import Tensor, nn

from .norm import TimeNorm

OPEN = 4.0  # bias of the last layer: at the start the filter lets nearly all pass (0.98)


class NBPFilter(nn.Module):
    """R times Linear -> LayerNorm -> scale and shift by the timestep -> SiLU, then Linear -> sigmoid.

    It depends on the timestep and the size alone: one evaluation serves all images and samples of a step.

    Args:
        heads:      h, channels of the result.
        time_width: E.
        hidden:     width of the blocks.
        blocks:     R.
    """

    def __init__(self, heads: int, time_width: int, hidden: int = 64, blocks: int = 6) -> None:
        super().__init__()
        # Deviation: layers on single entries, where convolutions are reported, because neighbours in a list of
        # frequencies are no neighbours in frequency; and a factor per head, because each head has an affinity.
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for width in [2, *[hidden] * (blocks - 1)])
        self.norms = nn.ModuleList(TimeNorm(hidden, time_width) for _ in range(blocks))
        self.activation = nn.SiLU()
        self.output = nn.Linear(hidden, heads)
        nn.init.constant_(self.output.bias, OPEN)

    def forward(self, embedding: Tensor, grid: Sequence[int]) -> Tensor:
        """embedding (T, E), grid (H, W[, D]) -> (T, h, U, U) in (0, 1), by radius of the query and of the key."""
        radii, _ = _radial(tuple(grid), embedding.device)
        rows, columns = torch.meshgrid(radii, radii, indexing="ij")
        x = torch.stack([rows, columns], dim=-1)[None].to(embedding.dtype)  # (1, U, U, 2)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.activation(norm(layer(x), embedding))  # (T, U, U, hidden)
        return self.output(x).float().sigmoid().movedim(-1, 1)  # (T, h, U, U)


def by_frequency(factors: Tensor, grid: Sequence[int]) -> Tensor:
    """A factor for every entry of a spectral affinity: (..., U, U) by radius -> (..., L, L), in `fftfreq`'s order."""
    _, places = _radial(tuple(grid), factors.device)  # (L,)
    return factors.index_select(-2, places).index_select(-1, places)


@lru_cache(maxsize=64)  # every step of a sampler asks for the same
@torch.inference_mode(False)  # what is kept must serve training too
def _radial(grid: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The grid's different radial frequencies (U,), ascending, and which of them each frequency has (L,).

    In [0, 1]: cycles per token, over the largest that there can be (1/2 on every axis); so a frequency has the same
    coordinate at every size.
    """
    axes = torch.meshgrid(*(torch.fft.fftfreq(length, dtype=torch.float64) for length in grid), indexing="ij")
    radius = torch.stack(axes).square().sum(0).sqrt() / (sqrt(len(grid)) / 2)  # (H, W[, D])
    radii, places = radius.round(decimals=9).unique(return_inverse=True)  # equal radii differ in the last bits
    return radii.float().to(device), places.flatten().to(device)
