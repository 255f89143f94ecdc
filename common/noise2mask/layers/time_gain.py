"""A gain that is learned from the timestep and begins at zero (as ReZero, Bachlechner et al. 2021, has it per layer).

Legend: B batch, C channels, H W D size, E width of the time embedding.
"""

from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn


class TimeGain(nn.Module):
    """x * Linear(SiLU(time embedding)), one number per timestep: nothing at the start, then as much as helps.

    Args:
        time_width: E.
    """

    def __init__(self, time_width: int) -> None:
        super().__init__()
        self.gain = nn.Sequential(nn.SiLU(), zero_module(nn.Linear(time_width, 1)))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (B, C, H, W[, D]), embedding (B, E) or (1, E) -> (B, C, H, W[, D])."""
        gain = self.gain(embedding)  # (B, 1) or (1, 1)
        return x * gain.reshape(-1, *[1] * (x.ndim - 1))  # (B, C, H, W[, D])
