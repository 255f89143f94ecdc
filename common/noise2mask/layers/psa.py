"""Parameter-shared attention, PSA (PGDiffSeg, section 3.3, equations 2 to 5).

Two flows share one query and one key projection and keep their own value projection and gain:
the condition flow x1 (features of the image) and the denoising flow x2 (features of the noisy mask).
As printed, each flow attends to itself; no feature crosses between the flows here.

Legend: B batch, C channels, H W size, L = H * W tokens.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# From this many tokens on, q and k are padded with zeros to the width of v, because the fused kernel refuses unequal
# widths; q^T k stays the same. benchmarks/psa_padding.py, one CPU thread, batch 16, 1024 tokens, C = 16: 5.8 times
# faster, training 3.2 times; at 64 tokens it makes no difference.
PAD_FROM_TOKENS = 256

Flow = Literal["condition", "denoising"]


class ParameterSharedAttention(nn.Module):
    """PSA of one level.

    Args:
        channels:  C, a multiple of `reduction`.
        reduction: C divided by the width of q and k (8 in the paper).

    Raises:
        ValueError: where `channels` is no multiple of `reduction`.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        if channels % reduction:
            raise ValueError(
                f"PSA needs channels that are a multiple of {reduction}, found {channels}: change the width."
            )
        self.query = nn.Conv2d(channels, channels // reduction, 1)  # Q of equation 2, shared by both flows
        self.key = nn.Conv2d(channels, channels // reduction, 1)  # K of equation 2, shared by both flows
        self.value = nn.ModuleDict({flow: nn.Conv2d(channels, channels, 1) for flow in ("condition", "denoising")})
        # eta_1 and eta_2 of equation 5 start at zero: at first PSA is the identity
        self.gain = nn.ParameterDict({flow: nn.Parameter(torch.zeros(())) for flow in ("condition", "denoising")})

    def attend(self, x: Tensor, flow: Flow) -> Tensor:
        """One flow's own attention: X = v . softmax(q^T k), x <- eta X + x (equations 3 to 5).

        Args:
            x: (B, C, H, W) features of the flow.
            flow: whose value projection and gain to use.

        Returns:
            (B, C, H, W).
        """
        # Deviation: softmax over the summed axis because the paper names none and only this one makes weights that
        # sum to 1; hence the key projection acts as the query of `scaled_dot_product_attention`.
        query = _tokens(self.key(x))  # (B, 1, L, C/8)
        key = _tokens(self.query(x))  # (B, 1, L, C/8)
        value = _tokens(self.value[flow](x))  # (B, 1, L, C)
        if value.shape[2] >= PAD_FROM_TOKENS:
            missing = value.shape[3] - query.shape[3]
            query, key = F.pad(query, (0, missing)), F.pad(key, (0, missing))  # (B, 1, L, C) twice
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, 1, L, C)
        mixed = mixed[:, 0].transpose(1, 2).reshape(x.shape)  # (B, C, H, W)
        return self.gain[flow] * mixed + x  # (B, C, H, W)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Both flows: x1 the condition flow, x2 the denoising flow, each (B, C, H, W)."""
        return self.attend(x1, "condition"), self.attend(x2, "denoising")  # (B, C, H, W) twice


def _tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, L, C): one head."""
    return x.flatten(2).transpose(1, 2)[:, None]
