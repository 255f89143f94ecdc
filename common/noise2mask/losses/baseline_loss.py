"""Loss of a plain segmentation network: Dice + cross-entropy."""

from collections.abc import Mapping

from monai.losses import DiceCELoss
from torch import Tensor, nn


class BaselineLoss(nn.Module):
    """MONAI's DiceCELoss of sigmoids, its sums pooled over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = DiceCELoss(sigmoid=True, batch=True)

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """`logits` of `Baseline` and `mask` in {0, 1}, each (B, K, H, W) -> scalar."""
        return self.loss(output["logits"].float(), target["mask"])
