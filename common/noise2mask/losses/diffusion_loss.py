"""Loss of the denoising network (PGDiffSeg, supplement: the simple loss of DDPM), and Dice of the mask it stands for.

Legend: B batch, K classes, H W size, for volumes H W D.
"""

from collections.abc import Mapping

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ..diffusion.target import check_kind, check_mask_scale, to_x0


class DiffusionLoss(nn.Module):
    """Mean squared error of the prediction + dice_weight * (1 - soft Dice of the clean mask that it stands for).

    Args:
        target:      what the network predicts: "x0", "epsilon" or "v".
        mask_scale:  clean masks live on +-mask_scale; an x0 is compared in this unit.
        dice_weight: of the second term; 0 is the papers' loss.

    Raises:
        ValueError: where the target is unknown, masks have no scale, or the target is epsilon with a Dice term: at late
            timesteps the clean mask is the prediction divided by almost nothing.
    """

    def __init__(self, target: str = "x0", mask_scale: float = 0.3, dice_weight: float = 0.0) -> None:
        super().__init__()
        check_kind(target)
        check_mask_scale(mask_scale)
        if target == "epsilon" and dice_weight:
            raise ValueError("dice_weight needs the target x0 or v; with epsilon set it to 0.")
        self.target = target
        self.mask_scale = mask_scale
        self.dice_weight = dice_weight
        self.dice = DiceLoss(batch=True)

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss.

        Args:
            output: of a denoiser in train mode, `prediction` (B, K, H, W).
            target: of `PrepareDiffusion`: `prediction`, `mask` in {0, 1} and `noisy`, each (B, K, H, W), `alpha` and
                `sigma`, each (B, 1, ...).

        Raises:
            ValueError: where the prediction has another shape than its target.
        """
        prediction = output["prediction"].float()  # (B, K, H, W)
        if prediction.shape != target["prediction"].shape:
            found, expected = tuple(prediction.shape), tuple(target["prediction"].shape)
            raise ValueError(
                f"The prediction has shape {found}, expected {expected} as the mask: take HybridLoss for a network "
                "with learn_sigma, else correct its out_channels."
            )
        unit = self.mask_scale if self.target == "x0" else 1.0
        loss = mse_loss(prediction / unit, target["prediction"] / unit)
        if not self.dice_weight:
            return loss
        # Deviation: a Dice term beside the papers' squared error because it trains better: docs/explanation/choices.md
        x0 = to_x0(self.target, prediction, target["noisy"], target["alpha"], target["sigma"])  # (B, K, H, W)
        soft = ((x0 / self.mask_scale + 1) / 2).clamp(0, 1)  # (B, K, H, W)
        return loss + self.dice_weight * self.dice(soft, target["mask"])
