"""One answer out of many samples of the same image.

Three ways: `mean` averages the soft samples (the default: it keeps what each sample was unsure of), `majority`
averages the hard ones, and `staple` weighs each hard sample by its estimated performance (MedSegDiff names it; see
`staple.py` and, for exclusive classes, `multi_label_staple.py`). All three give probabilities; the mask is
probability > 0.5, or the argmax of exclusive classes (channel 0 the background). A single class is never exclusive.

Shapes: B batch, N samples, K classes, S spatial sizes.
"""

import torch
from torch import Tensor

from .multi_label_staple import multi_label_staple
from .staple import staple

METHODS = ("mean", "majority", "staple")
SLACK = 1e-3  # rounding of half precision; what lies further outside [0, 1] is no probability


@torch.no_grad()
def fuse(samples: Tensor, how: str = "mean", exclusive: bool = False) -> Tensor:
    """Fuse the samples of each image into class probabilities.

    samples    (B, N, K, *S) in [0, 1], soft
    how        mean, majority or staple
    exclusive  True where each pixel has exactly one class: hard samples are the argmax and the result sums to 1 over K

    Returns (B, K, *S), at least float32. An even split of a majority is 0.5, which is not above 0.5.
    """
    if how not in METHODS:
        raise ValueError(f"unknown fusion {how!r}, expected one of {', '.join(METHODS)}: correct the name.")
    check_samples(samples)
    exclusive = exclusive and samples.shape[2] > 1
    dtype = torch.promote_types(samples.dtype, torch.float32)
    if how == "mean":
        fused = samples.mean(dim=1, dtype=dtype).clamp(0, 1)  # (B, K, *S)
    elif how == "majority":
        fused = harden(samples, exclusive).sum(dim=1).to(dtype) / samples.shape[1]  # (B, K, *S)
    else:
        estimate = multi_label_staple if exclusive else staple
        fused = estimate(harden(samples, exclusive)).to(dtype)  # (B, K, *S)
    return _normalise(fused) if exclusive else fused  # (B, K, *S)


def harden(samples: Tensor, exclusive: bool = False) -> Tensor:
    """Decide each pixel of each sample: above 0.5, or one-hot argmax over exclusive classes (the first of equals)."""
    classes = samples.shape[2]
    if not exclusive or classes == 1:
        return samples > 0.5  # (B, N, K, *S)
    index = torch.arange(classes, device=samples.device).reshape(classes, *[1] * (samples.ndim - 3))  # (K, 1, ...)
    return samples.argmax(dim=2, keepdim=True) == index  # (B, N, K, *S)


def check_samples(samples: Tensor) -> None:
    """Refuse what cannot be fused, naming the image and the sample."""
    if samples.ndim < 4 or samples.numel() == 0 or not samples.is_floating_point():
        raise ValueError(
            f"got samples of shape {tuple(samples.shape)} and type {samples.dtype}, expected floating point "
            "(batch, samples, classes, *spatial), none of them 0: add the missing axes or convert with .float()."
        )
    # Extremes pass NaN and infinity on, and need no copy of the samples.
    spatial = tuple(range(2, samples.ndim))
    low, high = samples.amin(dim=spatial), samples.amax(dim=spatial)  # (B, N)
    finite = low.isfinite() & high.isfinite()
    _refuse(~finite, "NaN or infinity", "find where the sampler diverged")
    _refuse((low < -SLACK) | (high > 1 + SLACK), "values outside [0, 1]", "rescale and clip the samples")


def _refuse(bad: Tensor, found: str, advice: str) -> None:
    if bad.any():
        named = ", ".join(f"sample {n} of image {b}" for b, n in bad.nonzero()[:5].tolist())
        raise ValueError(
            f"found {found} in {int(bad.sum())} of {bad.numel()} samples ({named}), "
            f"expected finite values in [0, 1]: {advice}."
        )


def _normalise(fused: Tensor) -> Tensor:
    """Make exclusive classes sum to 1; a pixel that no class claims belongs to all alike."""
    total = fused.sum(dim=1, keepdim=True)  # (B, 1, *S)
    return torch.where(total > 0, fused / total, 1 / fused.shape[1])  # (B, K, *S)
