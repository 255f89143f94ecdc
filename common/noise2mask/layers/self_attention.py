"""Self-attention over all places of a feature map.

Legend: B batch, C channels, H W D size, L places, n heads, d = C / n their width.
"""

import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from .norm import group_norm


class SelfAttention(nn.Module):
    """GroupNorm -> q, k, v -> softmax(q k^T / sqrt(d)) v in every head -> 1x1 convolution -> + input.

    Args:
        channels:     C.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
        heads:        n, a divisor of C.

    Raises:
        ValueError: where C is no multiple of the heads.
    """

    def __init__(self, channels: int, num_groups: int, spatial_dims: int = 2, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"Self-attention has {channels} channels, expected a multiple of its {heads} heads.")
        convolution = Conv[Conv.CONV, spatial_dims]
        self.heads = heads
        self.norm = group_norm(num_groups, channels)
        self.qkv = convolution(channels, 3 * channels, 1)
        self.out = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W[, D]) -> the same."""
        tokens = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # (B, L, 3C)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in tokens.chunk(3, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v)  # (B, n, L, d)
        return x + self.out(mixed.transpose(2, 3).reshape(x.shape))  # (B, C, H, W[, D])
