"""Frechet distance of two sets of features, as normal laws (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).

With the pooled features of one certain Inception-v3 it is called FID; with others it is not, and no such number
compares with a published FID.

Its expectation falls as the sets grow, since the covariance of few rows is known badly, and by how much depends on what
is compared (Chong and Forsyth 2020, "Effectively unbiased FID and Inception score and where to find them"). So two
distances compare only where the same extractor and equally many rows made both, and the number of rows belongs beside
each. Drawing rows again, as a bootstrap does, makes copies and with them the distance of a smaller set: no interval.

Legend: N, M rows, F features.
"""

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1^1/2 S2 S1^1/2)^1/2), the squared distance, in the square of their unit.

    Args:
        first:  (N, F), N at least 2; N < F works: the covariances S need no inverse.
        second: (M, F), M at least 2.

    Returns:
        At least 0, and 0 for the same set; in float64.

    Raises:
        ValueError: where there are fewer than two rows, widths differ, or a value is not finite.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        found = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"Features have the shapes {found}, expected (N, F) and (M, F): use one extractor for both.")
    (first_mean, first_root), (second_mean, second_root) = (_mean_and_root(own) for own in (first, second))
    # The trace of the root is the sum of the singular values of S1^1/2 S2^1/2, which those of any roots R1 R2' share:
    # no product is squared, so that none of its digits are lost, and a rank below F is no trouble.
    shared = torch.linalg.svdvals(first_root @ second_root.T).sum()
    spread = first_root.square().sum() + second_root.square().sum()  # tr(S1) + tr(S2)
    return max(0.0, float((first_mean - second_mean).square().sum() + spread - 2 * shared))


def _mean_and_root(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, F) -> mean (F,) and R (min(N, F), F) with R'R = S, the covariance by N - 1."""
    if len(features) < 2:
        raise ValueError(f"There are {len(features)} rows of features, expected at least 2: give more images.")
    if not features.isfinite().all():
        raise ValueError("Features are not finite, expected numbers: check the images and the extractor.")
    features = features.double()
    mean = features.mean(dim=0)
    root = torch.linalg.qr(features - mean, mode="r").R
    return mean, root / (len(features) - 1) ** 0.5
