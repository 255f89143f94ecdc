"""How much the images that were made for one mask differ in their features: their mean pairwise cosine distance.

DiffusionDCI measures diversity by LPIPS (Zhang et al. 2018), mean over the 45 pairs of ten samples (section IV). LPIPS
compares features at every place of several layers of one certain network, with trained weights. Of it this keeps the
form: features of length 1, and the square of their difference, halved, which is 1 - cosine. But features are pooled and
come from the extractor that the user names: it is no LPIPS, and compares with no published one.

Legend: B masks, N samples of each, F features.
"""

from torch import Tensor

from .features import unit_length


def feature_diversity(features: Tensor) -> Tensor:
    """(B, N, F) -> (B,): mean of 1 - cosine over all pairs of a mask's samples, 0 (alike) to 2; larger is more diverse.

    Raises:
        ValueError: where a mask has fewer than two samples, or a feature is all zero or not finite.
    """
    if features.ndim != 3 or features.shape[1] < 2:
        found = f"Features have shape {tuple(features.shape)}"
        raise ValueError(f"{found}, expected (B, N, F) with N at least 2: make more samples of each mask.")
    directions = unit_length(features.double())  # (B, N, F)
    samples = directions.shape[1]
    # The squared length of the sum holds every product twice, and N ones: no need to form the pairs.
    products = (directions.sum(dim=1).square().sum(dim=-1) - samples) / (samples * (samples - 1))  # (B,)
    return (1 - products).clamp(min=0)
