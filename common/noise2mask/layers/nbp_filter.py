"""NBP-Filter of MedSegDiff-V2 (Wu et al. 2024, section on SS-Former): which pairs of frequencies may meet, by timestep.

A network turns the two frequencies of an entry of the spectral affinity, of the query and of the key, into a factor
between 0 and 1. Both are radial, so that a filtered affinity stays real in space, and the map has as many rows as the
grid has different radii: 42 at 16 x 16, for 256 frequencies. Every module of the SS-Former has a network of its own;
they are evaluated together, because so many small operations, one by one, took a GPU as long as all of the rest.

Legend: T timesteps (one per image, or 1 for all), E width of the time embedding, S modules, R blocks, h heads, H W D
size of the grid of tokens, L = H * W [* D] tokens and frequencies, U radii, P = U * U pairs of them.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPEN = 4.0  # bias of the last layer: at the start the filter lets nearly all pass (0.98)


class NBPFilter(nn.Module):
    """R times Linear -> LayerNorm -> scale and shift by the timestep -> SiLU, then Linear -> sigmoid; of all modules.

    It depends on the timestep and the size alone: one evaluation serves all images and samples of a step.

    Args:
        modules:    S.
        heads:      h of each module.
        time_width: E.
        hidden:     width of the blocks.
        blocks:     R.
    """

    def __init__(self, modules: int, heads: int, time_width: int, hidden: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.sizes = (blocks, 2, modules, hidden)  # of what the timestep gives: scales and shifts
        # Deviation: layers on single entries, where convolutions are reported, because neighbours in a list of
        # frequencies are no neighbours in frequency; and a factor per head, because each head has an affinity.
        self.layers = nn.ModuleList(StackedLinear(modules, n, hidden) for n in [2, *[hidden] * (blocks - 1)])
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False)
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time_width, blocks * 2 * modules * hidden))
        self.output = StackedLinear(modules, hidden, heads)
        nn.init.constant_(self.output.bias, OPEN)

    def forward(self, embedding: Tensor, grid: Sequence[int]) -> Tensor:
        """embedding (T, E), grid (H, W[, D]) -> (T, S, h, U, U) in (0, 1), by radius of the query and of the key."""
        radii, _ = _radial(tuple(grid), embedding.device)
        x = torch.cartesian_prod(radii, radii).to(embedding.dtype).expand(self.sizes[2], 1, -1, 2)  # (S, 1, P, 2)
        vectors = self.time(embedding).unflatten(1, self.sizes).permute(2, 1, 3, 0, 4)  # (2, R, S, T, hidden)
        scales, shifts = vectors.unsqueeze(-2)  # (R, S, T, 1, hidden) each
        for layer, scale, shift in zip(self.layers, 1 + scales, shifts, strict=True):
            x = F.silu(torch.addcmul(shift, scale, self.norm(layer(x))))  # (S, T, P, hidden)
        factors = self.output(x).float().sigmoid()  # (S, T, P, h)
        return factors.unflatten(2, (len(radii), -1)).permute(1, 0, 4, 2, 3)  # (T, S, h, U, U)


class StackedLinear(nn.Module):
    """An `nn.Linear` for each of S modules, evaluated by one product, and initialised as `nn.Linear` is.

    Args:
        modules: S.
        inputs:  width of what comes in.
        outputs: width of what comes out.
    """

    def __init__(self, modules: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(modules, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(modules, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """x (S, T, P, inputs) -> (S, T, P, outputs)."""
        rows = torch.baddbmm(self.bias[:, None], x.flatten(1, 2), self.weight.mT)  # (S, T * P, outputs)
        return rows.unflatten(1, x.shape[1:3])  # (S, T, P, outputs)


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
