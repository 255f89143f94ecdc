"""Loss of a plain segmentation network: Dice + cross-entropy."""

from collections.abc import Mapping

from monai.losses import DiceCELoss
from torch import Tensor, nn


class BaselineLoss(nn.Module):
    """MONAI's DiceCELoss, its sums pooled over the batch.

    Args:
        exclusive: classes exclude one another: softmax, and no Dice of the background, class 0; else sigmoid.
    """

    def __init__(self, exclusive: bool = False) -> None:
        super().__init__()
        self.loss = DiceCELoss(softmax=exclusive, sigmoid=not exclusive, include_background=not exclusive, batch=True)

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """`logits` of `Baseline` and `mask` in {0, 1}, each (B, K, H, W) -> scalar."""
        return self.loss(output["logits"].float(), target["mask"])
