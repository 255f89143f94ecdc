"""How unsure the model is: maps for the viewer, and numbers that put the most doubtful image first.

Samples of one image differ where the image does not decide. The standard deviation over the samples and the entropy of
the fused probability show where; the mean Dice over pairs of samples (Roy et al., "Bayesian QuickNAT", NeuroImage 195,
2019: Dice agreement in Monte Carlo samples) says how much in all.

Shapes: B batch, N samples, K classes, S spatial sizes.
"""

import torch
from torch import Tensor

from .fusion import check_samples, harden


@torch.no_grad()
def standard_deviation(samples: Tensor) -> Tensor:
    """Population standard deviation of soft samples (B, N, K, *S) over N, between 0 and 0.5; 0 for a single sample."""
    check_samples(samples)
    return samples.std(dim=1, correction=0)  # (B, K, *S)


@torch.no_grad()
def entropy(probability: Tensor, exclusive: bool = False) -> Tensor:
    """Entropy in nats of the fused probability (B, K, *S), one map for all classes.

    Exclusive classes: -sum_k p ln p, at most ln K. Else every class is a yes or no of its own, and the binary entropies
    -p ln p - (1 - p) ln(1 - p) add up, at most K ln 2. A single class is never exclusive.
    """
    low, high = probability.amin().item(), probability.amax().item()
    if not (0 <= low and high <= 1):
        raise ValueError(f"found probabilities from {low:g} to {high:g}, expected 0 to 1: fuse the samples first.")
    terms = torch.special.entr(probability)  # (B, K, *S)
    if not exclusive or probability.shape[1] == 1:
        terms += torch.special.entr(1 - probability)
    return terms.sum(dim=1, keepdim=True)  # (B, 1, *S)


@torch.no_grad()
def triage(samples: Tensor, exclusive: bool = False) -> dict[str, Tensor]:
    """Numbers per image, from the hard samples; sort by "triage", highest first, to see the most doubtful image first.

    samples    (B, N, K, *S) in [0, 1], soft
    exclusive  True where each pixel has exactly one class: channel 0 is then the background and left out

    agreement  mean Dice over pairs of samples and over classes: both empty 1, one empty 0; a single sample 1
    area_mean  fraction of pixels in any foreground class, mean over the samples
    area_std   its population standard deviation
    triage     1 - agreement
    ..._each   agreement, area_mean and area_std of each foreground class, (B, classes)
    """
    check_samples(samples)
    hard = harden(samples, exclusive)  # (B, N, K, *S)
    if exclusive and samples.shape[2] > 1:
        hard = hard[:, :, 1:]
    # One sample, and one image and class, at a time: 25 samples of a volume are large, and copies of them larger.
    sizes = torch.stack([torch.stack([one.any(dim=0).count_nonzero() for one in image]) for image in hard])  # (B, N)
    each = torch.stack([torch.stack([one.flatten(1).sum(dim=1) for one in image]) for image in hard])  # (B, N, classes)
    dice = [torch.stack([_pairwise_dice(masks.flatten(1)) for masks in image.unbind(dim=1)]) for image in hard]
    agreement = torch.stack(dice)  # (B, classes)
    result = {"agreement": agreement.mean(dim=1), "triage": 1 - agreement.mean(dim=1), "agreement_each": agreement}
    for name, counted in (("", sizes), ("_each", each)):
        area = counted.double() / hard[0, 0, 0].numel()  # (B, N), (B, N, classes)
        result |= {f"area_mean{name}": area.mean(dim=1), f"area_std{name}": area.std(dim=1, correction=0)}
    return {name: value.float() for name, value in result.items()}


def _pairwise_dice(masks: Tensor) -> Tensor:
    """Mean of 2 |A and B| / (|A| + |B|) over all pairs of masks (N, pixels) bool."""
    raters = len(masks)
    if raters == 1:
        return torch.ones((), device=masks.device)
    voted = masks[:, masks.any(dim=0)]  # (N, pixels that any mask has); the others add nothing
    values = voted.float()
    shared = values @ values.T  # (N, N)
    sizes = voted.sum(dim=1)
    total = sizes[:, None] + sizes[None]  # (N, N)
    dice = torch.where(total > 0, 2 * shared / total, 1.0)
    rows, columns = torch.triu_indices(raters, raters, offset=1, device=masks.device)
    return dice[rows, columns].mean()
