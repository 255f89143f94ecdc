"""Loss of the denoising network (PGDiffSeg, supplement: the simple loss of DDPM)."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import mse_loss


class DiffusionLoss(nn.Module):
    """Mean squared error between the prediction and its target (epsilon, x0 or v)."""

    def forward(self, output: Tensor | Mapping[str, Tensor], target: Tensor) -> Tensor:
        """output (B, K, H, W), or the dict a denoiser returns in train mode; target (B, K, H, W) -> scalar."""
        prediction = output["prediction"] if isinstance(output, Mapping) else output  # (B, K, H, W)
        return mse_loss(prediction.float(), target)
