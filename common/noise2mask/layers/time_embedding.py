"""Time vectors: a sinusoid of the timestep through a small MLP (PGDiffSeg, figure 12).

Legend: B batch, C channels.
"""

import torch
from monai.networks.nets.diffusion_model_unet import get_timestep_embedding
from torch import Tensor, nn


class TimeVector(nn.Module):
    """Sinusoid of width `dim` -> Linear -> SiLU -> Linear, one vector per timestep.

    Args:
        dim:      width of the sinusoid, even.
        channels: C, width of the features the vector is added to.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.dim = dim
        self.mlp = nn.Sequential(nn.Linear(dim, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, timesteps: Tensor) -> Tensor:
        """timesteps (B,), integer or fractional, 0 .. T - 1 -> (B, C, 1, 1), ready to be added."""
        sinusoid = get_timestep_embedding(timesteps.to(torch.float32), self.dim)  # (B, dim)
        return self.mlp(sinusoid.to(next(self.mlp.parameters()).dtype))[:, :, None, None]  # (B, C, 1, 1)
