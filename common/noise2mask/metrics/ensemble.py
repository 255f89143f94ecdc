"""Scores of the samples of one image, beside the score of the mask that is made of them.

Legend: N samples, A annotations of one image, S spatial sizes.
"""

import torch
from torch import Tensor

from .overlap import dice_of


def sample_dice(samples: Tensor, label: Tensor) -> dict[str, float]:
    """`dice_best` and `dice_mean` of hard samples (N, *S) against a label (*S), all in {0, 1}.

    The best one is chosen with the label in hand, so it is a bound and no result.
    """
    scores = [dice_of(sample, label) for sample in samples]
    return {"dice_best": max(scores), "dice_mean": sum(scores) / len(scores)}


def generalised_energy_distance(samples: Tensor, annotations: Tensor) -> float:
    """D^2 = 2 E d(S, Y) - E d(S, S') - E d(Y, Y') with d = 1 - IoU (Kohl et al. 2018, "Probabilistic U-Net", eq. 5).

    0 where samples and annotations are spread alike. All pairs count, those of a mask with itself too.

    Args:
        samples:     (N, *S) in {0, 1}.
        annotations: (A, *S) in {0, 1}, of several annotators.
    """
    between, within, among = (
        _mean_distance(*pair) for pair in ((samples, annotations), (samples, samples), (annotations, annotations))
    )
    return 2 * between - within - among


def _mean_distance(first: Tensor, second: Tensor) -> float:
    """Mean of 1 - IoU over all pairs of (N, *S) and (A, *S); two empty masks are equal."""
    a, b = (masks.flatten(1).double() for masks in (first, second))  # (N, pixels), (A, pixels)
    shared = a @ b.T  # (N, A)
    union = a.sum(dim=1)[:, None] + b.sum(dim=1)[None] - shared  # (N, A)
    return (1 - torch.where(union > 0, shared / union.clamp(min=1), 1.0)).mean().item()
