"""Whether a probability of 0.7 is right in 7 of 10 pixels: expected calibration error (Guo et al., ICML 2017, eq. 5).

Legend: M bins of equal width over [0, 1]; a bin holds the number of its pixels, the sum of their probabilities and the
number of them whose label is 1.
"""

import numpy as np
import torch
from monai.metrics.calibration import calibration_binning
from torch import Tensor

BINS = 10


def calibration_bins(probability: Tensor, label: Tensor) -> np.ndarray:
    """Probability and label, each (...) -> (3, M): pixels, sum of probabilities, pixels whose label is 1.

    Bins of several images add up.
    """
    mean_p, mean_label, pixels = calibration_binning(probability[None, None], label[None, None], num_bins=BINS)
    sums = torch.stack([pixels, mean_p.nan_to_num() * pixels, mean_label.nan_to_num() * pixels])  # (3, 1, 1, M)
    return sums[:, 0, 0].double().cpu().numpy()  # (3, M)


def expected_calibration_error(bins: np.ndarray) -> float:
    """sum_m n_m / n |label_m / n_m - p_m / n_m| of bins (3, M)."""
    pixels, probability, label = bins
    return float(np.abs(label - probability).sum() / max(1, pixels.sum()))
