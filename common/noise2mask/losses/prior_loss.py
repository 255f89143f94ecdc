"""Loss of PGDiffSeg's prior-supervision network (section 3.4, equations 7 to 10).

Legend: B batch, H W size of the mask, h w size of the location map.
"""

from collections.abc import Mapping
from typing import Literal

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, binary_cross_entropy_with_logits, cross_entropy, interpolate

from ..names import check_name

RESIZES = ("nearest", "area", "max")


class PriorLoss(nn.Module):
    """classification_weight * CE(class) + location_weight * (Dice + BCE)(coarse map) (equation 10).

    Args:
        classification_weight: lambda_1; the paper gives no number.
        location_weight:       lambda_2; the paper gives no number.
        mask_resize:           how the mask comes to the coarse map's size: "nearest"; "area" (half covered or more),
                               which loses small lesions; "max" (touched), which keeps them. The paper says "resized".

    Raises:
        ValueError: where `mask_resize` is unknown.
    """

    def __init__(
        self,
        classification_weight: float = 0.5,
        location_weight: float = 0.5,
        mask_resize: Literal["nearest", "area", "max"] = "nearest",
    ) -> None:
        super().__init__()
        check_name("mask_resize", mask_resize, RESIZES)
        self.classification_weight = classification_weight
        self.location_weight = location_weight
        self.mask_resize = mask_resize
        self.dice = DiceLoss(sigmoid=True, batch=True)  # equation 8 pools its sums

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss.

        Args:
            output: of PriorSupervision: `classification` (B, 1) or (B, classes), `location` (B, 1, h, w), logits.
            target: `mask` (B, 1, H, W) in {0, 1}; with several classes also `class` (B,), whole numbers.
        """
        mask, location = target["mask"], output["location"].float()  # (B, 1, H, W), (B, 1, h, w)
        small = self._resized(mask, location.shape[2:])  # (B, 1, h, w)
        # Deviation: equation 9 is printed as a sum; the mean keeps it on the scale of Dice at every size.
        located = self.dice(location, small) + binary_cross_entropy_with_logits(location, small)  # equations 8 and 9
        classified = self._classification(output["classification"].float(), target)
        return self.classification_weight * classified + self.location_weight * located

    def _classification(self, logits: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """Equation 7 for one logit; cross-entropy for several classes."""
        if logits.shape[1] == 1:
            present = target["mask"].flatten(1).amax(dim=1, keepdim=True)  # (B, 1)
            return binary_cross_entropy_with_logits(logits, present)
        if "class" not in target:
            raise ValueError(
                f"The prior has {logits.shape[1]} classes, but the data name none: use a layout that does (busi), or "
                "prior_classes 1."
            )
        return cross_entropy(logits, target["class"])

    def _resized(self, mask: Tensor, size: tuple[int, ...]) -> Tensor:
        """(B, 1, H, W) -> (B, 1, h, w) in {0, 1}."""
        if self.mask_resize == "max":
            return adaptive_max_pool2d(mask, size)
        if self.mask_resize == "area":
            return (interpolate(mask, size=size, mode="area") >= 0.5).to(mask.dtype)
        return interpolate(mask, size=size, mode="nearest")
