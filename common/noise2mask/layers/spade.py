"""SPADE: a norm whose scale and shift are read off a semantic mask, here over GroupNorm.

Park et al. 2019, "Semantic image synthesis with spatially-adaptive normalization", equation 1.

Scale and shift depend on the mask alone, not on what is normed: one modulation serves all timesteps of an image.

Legend: B images, N samples of each, M = B * N, C channels, K classes, H W size.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from .norm import group_norm


class SpadeNorm(nn.Module):
    """GroupNorm(x) * (1 + gamma(mask)) + beta(mask); gamma and beta by Conv3x3 -> ReLU -> Conv3x3 each.

    The convolutions repeat the border: where the mask has one class, or none, gamma and beta are the same at all
    places, so that one place of an empty mask stands for all of it.

    Args:
        channels:   C.
        classes:    K of the mask.
        num_groups: of GroupNorm.
        hidden:     channels between mask and modulation; 128 in Park et al. 2019, appendix A.
    """

    def __init__(self, channels: int, classes: int, num_groups: int, hidden: int = 128) -> None:
        super().__init__()
        self.norm = group_norm(num_groups, channels, affine=False)
        # Deviation: the border is repeated, not continued with zeros, because then an empty mask is C numbers.
        self.hidden = nn.Conv2d(classes, hidden, 3, padding=1, padding_mode="replicate")
        self.gamma_beta = nn.Conv2d(hidden, 2 * channels, 3, padding=1, padding_mode="replicate")

    def modulation(self, mask: Tensor) -> Tensor:
        """One-hot mask (B, K, H, W), all zero where there is none -> gamma and beta together, (B, 2C, H, W)."""
        return self.gamma_beta(relu(self.hidden(mask)))  # (B, 2C, H, W)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """x (M, C, H, W), image-major, modulation (B, 2C, H, W) or (1, 2C, 1, 1) -> (M, C, H, W)."""
        gamma, beta = modulation[:, None].chunk(2, dim=2)  # (B, 1, C, H, W) twice
        normed = self.norm(x).unflatten(0, (len(modulation), -1))  # (B, N, C, H, W)
        return (normed * (1 + gamma) + beta).flatten(0, 1)  # (M, C, H, W)
