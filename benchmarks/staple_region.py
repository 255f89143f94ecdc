"""How the region that STAPLE sees changes what it believes: disks outlined by raters that jitter.

python benchmarks/staple_region.py
"""

import statistics

import torch
from torch import Tensor

from noise2mask.diffusion.staple import staple

DISKS, RATERS, JITTER, RADIUS, SIZE = 40, 5, 3.0, 12, 128


def main() -> None:
    """Fused area by true area, and Dice, for margins in pixels; the mean of 40 disks; majority beside."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.full((DISKS, 1, 2), SIZE / 2)
    truth = _disks(centres)[:, 0]  # (DISKS, 1, H, W)
    votes = _disks(centres + JITTER * torch.randn(DISKS, RATERS, 2, generator=generator))  # (DISKS, RATERS, 1, H, W)
    print(f"{DISKS} disks of radius {RADIUS} in {SIZE}x{SIZE}, {RATERS} raters, jitter {JITTER:g} pixels")
    for margin in (0, 4, 8, 16, SIZE):
        _show(f"margin {margin}", staple(votes, margin=margin) > 0.5, truth)
    _show("majority", votes.float().mean(dim=1) > 0.5, truth)


def _disks(centres: Tensor) -> Tensor:
    """(B, N, 2) -> (B, N, 1, H, W)."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    distance = (rows - centres[..., 0, None, None]) ** 2 + (columns - centres[..., 1, None, None]) ** 2
    return (distance <= RADIUS**2)[:, :, None]


def _show(title: str, mask: Tensor, truth: Tensor) -> None:
    both, sizes = (mask & truth).flatten(1).sum(1), (mask.flatten(1).sum(1), truth.flatten(1).sum(1))
    ratio = statistics.mean((sizes[0] / sizes[1]).tolist())
    print(f"{title:12} area {ratio:.2f}   Dice {statistics.mean((2 * both / (sizes[0] + sizes[1])).tolist()):.3f}")


if __name__ == "__main__":
    main()
