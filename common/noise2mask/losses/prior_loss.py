"""Loss of PGDiffSeg's prior-supervision network (section 3.4, equations 7 to 10).

Legend: B batch, H W size of the mask, h w size of the location map.
"""

from collections.abc import Mapping

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate


class PriorLoss(nn.Module):
    """classification_weight * BCE(lesion present) + location_weight * (Dice + BCE)(coarse map) (equation 10).

    Args:
        classification_weight: lambda_1; the paper gives no number.
        location_weight:       lambda_2; the paper gives no number.
    """

    def __init__(self, classification_weight: float = 0.5, location_weight: float = 0.5) -> None:
        super().__init__()
        self.classification_weight = classification_weight
        self.location_weight = location_weight
        self.dice = DiceLoss(sigmoid=True, batch=True)  # equation 8 pools its sums

    def forward(self, output: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """output of PriorSupervision (one class logit), mask (B, 1, H, W) in {0, 1} -> scalar."""
        present = mask.flatten(1).amax(dim=1, keepdim=True)  # (B, 1)
        classification = binary_cross_entropy_with_logits(output["classification"].float(), present)  # equation 7
        location = output["location"].float()  # (B, 1, h, w)
        small = interpolate(mask, size=location.shape[2:], mode="nearest")  # (B, 1, h, w)
        # Deviation: equation 9 is printed as a sum; the mean keeps it on the scale of Dice at every size.
        located = self.dice(location, small) + binary_cross_entropy_with_logits(location, small)  # equations 8 and 9
        return self.classification_weight * classification + self.location_weight * located
