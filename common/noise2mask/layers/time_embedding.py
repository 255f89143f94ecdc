"""Time vectors: a sinusoid of the timestep through a small MLP (PGDiffSeg, figure 12; MedSegDiff, section II-C).

Legend: B batch, C channels, E width of the embedding.
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
        return _embedded(timesteps, self.dim, self.mlp)[:, :, None, None]  # (B, C, 1, 1)


class TimeEmbedding(nn.Module):
    """The same as one embedding that all blocks share: sinusoid of width `dim` -> Linear -> SiLU -> Linear, E = 4 dim.

    Args:
        dim: width of the sinusoid, even.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.width = dim, 4 * dim
        self.mlp = nn.Sequential(nn.Linear(dim, self.width), nn.SiLU(), nn.Linear(self.width, self.width))

    def forward(self, timesteps: Tensor) -> Tensor:
        """timesteps (B,), integer or fractional, 0 .. T - 1 -> (B, E)."""
        # Deviation: a sinusoid for the look-up table of section II-C because it takes timesteps between those trained.
        return _embedded(timesteps, self.dim, self.mlp)  # (B, E)


def _embedded(timesteps: Tensor, dim: int, mlp: nn.Module) -> Tensor:
    """timesteps (B,) -> the MLP's output for their sinusoids, in the type of its weights."""
    sinusoid = get_timestep_embedding(timesteps.to(torch.float32), dim)  # (B, dim)
    return mlp(sinusoid.to(next(mlp.parameters()).dtype))
