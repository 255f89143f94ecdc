"""How alike the images that were made for one mask are, pixel by pixel: MS-SSIM over their pairs (Wang et al. 2003).

It needs no features. Images of side 256 and more have the five scales of the paper, each half the size of the one
before. Smaller ones have as many as leave 16 pixels at the last, where the window of 11 still has a place to go: three
of 64 x 64, one of 16 x 16; the paper's weights of those are scaled to sum to 1. Scores compare between images of the
same size alone.

Legend: B masks, N samples of each, H W size.
"""

from itertools import combinations

import torch
from monai.metrics.regression import compute_ms_ssim
from torch import Tensor

from ..data.tile_images import unit_range

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
LAST = 16  # pixels that the smallest scale must have


def ms_ssim(samples: Tensor) -> Tensor:
    """(B, N, 3, H, W), uint8 or in [0, 1] -> (B,): mean over a mask's pairs, 1 where alike; lower is more diverse.

    Raises:
        ValueError: where a mask has fewer than two samples, tiles are smaller than 16 x 16, or values are others.
    """
    if samples.ndim != 5 or samples.shape[1] < 2:
        found = f"Samples have shape {tuple(samples.shape)}"
        raise ValueError(f"{found}, expected (B, N, 3, H, W) with N at least 2: make more samples of each mask.")
    weights = scale_weights(min(samples.shape[-2:]))
    first, second = zip(*combinations(range(samples.shape[1]), 2), strict=True)
    return torch.stack([_mean_of_pairs(own, first, second, weights) for own in samples])


def _mean_of_pairs(samples: Tensor, first: tuple[int, ...], second: tuple[int, ...], weights: list[float]) -> Tensor:
    """(N, 3, H, W) -> ()."""
    tiles = unit_range(samples)
    return compute_ms_ssim(tiles[list(first)], tiles[list(second)], spatial_dims=2, weights=weights).mean()


def scale_weights(side: int) -> list[float]:
    """The weights of the scales, as many as images of this side in pixels have.

    Raises:
        ValueError: where there is none.
    """
    if side < LAST:
        raise ValueError(f"Tiles have a side of {side} pixels, expected {LAST} at least: take larger ones.")
    own = WEIGHTS[: (side // LAST).bit_length()]
    return [weight / sum(own) for weight in own]
