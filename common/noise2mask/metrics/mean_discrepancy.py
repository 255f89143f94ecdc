"""Maximum mean discrepancy of two sets of features, with a Gaussian kernel (Gretton et al. 2012, eq. 3).

It assumes no law of the features, and has no bias: of two sets of one law its expectation is 0, whatever their number,
so that a small negative value says that no difference was found. MONAI's `MMDMetric` has the estimate, with the product
of two rows as kernel, which sees the means alone. To make the kernel exp(-|x - y|^2 / 2 s^2) of it, rows are mapped to
random Fourier features, whose products are that kernel but for an error of about 1 / sqrt(D) (Rahimi and Recht 2007).
They come from one seed: the score of the same features is the same every time.

s is the median distance of two real images (Gretton et al. 2012, section 8), so that scores compare where the real
images and the extractor are the same.

Legend: N rows, F features, D random Fourier features.
"""

import math

import torch
from monai.metrics import MMDMetric
from torch import Tensor

FOURIER = 4096  # D
MEDIAN_OF = 2000  # rows that the median is taken over
SEED = 0


def mean_discrepancy(generated: Tensor, real: Tensor) -> float:
    """Of (N, F) and (N, F), N at least 2: about 0 for one law, at most about 2; it can be negative.

    Raises:
        ValueError: where shapes differ, there are fewer than two rows, values are not finite, or all real rows are
            equal.
    """
    if generated.ndim != 2 or generated.shape != real.shape or len(real) < 2:
        found = f"{tuple(generated.shape)} and {tuple(real.shape)}"
        raise ValueError(f"Features have the shapes {found}, expected (N, F) twice, N at least 2: take equally many.")
    if not (generated.isfinite().all() and real.isfinite().all()):
        raise ValueError("Features are not finite, expected numbers: check the images and the extractor.")
    generated, real = generated.double(), real.double()
    width = float(torch.pdist(real[:MEDIAN_OF]).median())
    if width == 0:
        raise ValueError("Most real images have the same features: check the images and the extractor.")
    return float(MMDMetric(FourierFeatures(real.shape[1], width))(real, generated))


class FourierFeatures:
    """Rows (N, F) -> (N, D), whose products are about exp(-|x - y|^2 / 2 width^2) (Rahimi and Recht 2007, eq. 4).

    Cosine and sine of the same D / 2 frequencies: a row's product with itself is 1 exactly.
    """

    def __init__(self, features: int, width: float) -> None:
        random = torch.Generator().manual_seed(SEED)
        self.frequencies = torch.randn(features, FOURIER // 2, generator=random, dtype=torch.float64) / width

    def __call__(self, rows: Tensor) -> Tensor:
        """(N, F), float64 -> (N, D)."""
        phase = rows @ self.frequencies  # (N, D / 2)
        return torch.cat([phase.cos(), phase.sin()], dim=1) / math.sqrt(FOURIER // 2)  # (N, D)
