"""Training without conditions now and then, so that guidance has a prediction without them.

Beside both at once, each is dropped alone: feature extraction has an image, but no mask.

Legend: B batch, K classes, H W size; a reference is an image or its embedding, (B, ...).
"""

import torch
from torch import Tensor


class ConditionDropout:
    """Zeroes mask, reference or both of some images: what DSDM takes for none.

    Args:
        both:      probability that an image loses both.
        mask:      that it loses the mask alone.
        reference: that it loses the reference alone.

    Raises:
        ValueError: where these are no probabilities of events that exclude one another.
    """

    def __init__(self, both: float = 0.1, mask: float = 0.1, reference: float = 0.1) -> None:
        shares = (both, mask, reference)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"Conditions are dropped with {shares}, expected probabilities whose sum is at most 1.")
        self.both, self.mask, self.reference = shares

    def __call__(self, mask: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Mask (B, K, H, W) and reference (B, ...) -> the same with zeros where dropped."""
        return self.dropped(mask, reference, self.draw(len(mask)))

    def draw(self, images: int) -> Tensor:
        """The only random numbers, (B,) in [0, 1): drawn on the CPU, so that every device drops the same."""
        return torch.rand(images)

    def dropped(self, mask: Tensor, reference: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """As a call, for numbers that are drawn: below `both` both are dropped, in the next shares one of them."""
        ends = torch.tensor([self.both, self.mask, self.reference]).cumsum(0)  # (3,)
        event = torch.bucketize(drawn, ends, right=True).to(mask.device)  # (B,): 0 both, 1 mask, 2 reference, 3 none
        keep_mask, keep_reference = event >= 2, (event == 1) | (event == 3)  # (B,) twice
        return _kept(mask, keep_mask), _kept(reference, keep_reference)  # (B, K, H, W), (B, ...)


def _kept(condition: Tensor, keep: Tensor) -> Tensor:
    """(B, ...) with zeros where keep (B,) is False."""
    return condition * keep.reshape(-1, *[1] * (condition.ndim - 1))  # (B, ...)
