"""Self-attention over all places of a feature map.

Legend: B batch, C channels, H W D size, L places.
"""

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from .norm import group_norm


class SelfAttention(nn.Module):
    """Single head: GroupNorm -> q, k, v -> softmax(q k^T / sqrt(C)) v -> 1x1 convolution -> + input.

    Args:
        channels:     C.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(self, channels: int, num_groups: int, spatial_dims: int = 2) -> None:
        super().__init__()
        convolution = Conv[Conv.CONV, spatial_dims]
        self.norm = group_norm(num_groups, channels)
        self.qkv = convolution(channels, 3 * channels, 1)
        self.out = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same."""
        tokens = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)[:, None]  # (B, 1, L, 3C)
        mixed = F.scaled_dot_product_attention(*tokens.chunk(3, dim=-1))  # (B, 1, L, C)
        return x + self.out(mixed[:, 0].transpose(1, 2).reshape(x.shape))  # (B, C, H, W[, D])
