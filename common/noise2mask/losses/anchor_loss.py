"""Loss of MedSegDiff-V2's condition model, whose own mask is the anchor (Wu et al. 2024, loss of a step).

Legend: B batch, K classes, H W size, for volumes H W D.
"""

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn

from ..names import check_name

SCHEDULES = ("expected", "every")


class AnchorLoss(nn.Module):
    """(L_dice + beta * L_ce) of the anchor, on one of alpha timesteps.

    Args:
        exclusive: classes exclude one another: softmax, and no Dice of the background, class 0; else sigmoid.
        alpha:     every how many timesteps; 5 is what readers of the paper report.
        beta:      of the cross-entropy; 10 is reported.
        schedule:  "every" counts the samples of the batch whose timestep is a multiple of alpha, as in the paper;
                   "expected" counts all, with the weight 1 / alpha.

    Raises:
        ValueError: where the schedule is unknown or alpha is below 1.
    """

    def __init__(
        self,
        exclusive: bool = False,
        alpha: int = 5,
        beta: float = 10.0,
        schedule: Literal["expected", "every"] = "expected",
    ) -> None:
        super().__init__()
        check_name("schedule of the anchor's loss", schedule, SCHEDULES)
        if alpha < 1:
            raise ValueError(f"alpha is {alpha}, expected a number of timesteps from 1 up.")
        self.exclusive, self.alpha, self.beta, self.schedule = exclusive, alpha, beta, schedule
        self.dice = DiceLoss(
            include_background=not exclusive, softmax=exclusive, sigmoid=not exclusive, reduction="none"
        )

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss.

        Args:
            output: of the network in train mode, `logits` (B, K, H, W).
            target: of `PrepareDiffusion`, `mask` in {0, 1} (B, K, H, W) and `timesteps` (B,).
        """
        logits, mask = output["logits"].float(), target["mask"]  # (B, K, H, W) each
        losses = self.dice(logits, mask).flatten(1).mean(dim=1) + self.beta * self._entropy(logits, mask)  # (B,)
        # Deviation: all samples with the weight 1 / alpha, where the paper takes those at every alpha-th timestep,
        # because the mean is the same, its variance is lower, and no batch is without the anchor's loss.
        if self.schedule == "expected":
            return losses.mean() / self.alpha
        return (losses * (target["timesteps"] % self.alpha == 0)).mean()

    def _entropy(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Mean cross-entropy of every sample, (B,)."""
        if self.exclusive:
            return F.cross_entropy(logits, mask.argmax(dim=1), reduction="none").flatten(1).mean(dim=1)  # (B,)
        return F.binary_cross_entropy_with_logits(logits, mask, reduction="none").flatten(1).mean(dim=1)  # (B,)
