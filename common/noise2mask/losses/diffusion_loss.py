"""Loss of the denoising network (PGDiffSeg, supplement: the simple loss of DDPM)."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import mse_loss


class DiffusionLoss(nn.Module):
    """Mean squared error between the prediction and its target (epsilon, x0 or v)."""

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """`prediction` (B, K, H, W) of a denoiser in train mode, and of `PrepareDiffusion`'s target -> scalar."""
        return mse_loss(output["prediction"].float(), target["prediction"])
