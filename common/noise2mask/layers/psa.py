"""Parameter-shared attention, PSA (PGDiffSeg, section 3.3, equations 2 to 5).

Two flows share one query and one key projection and keep their own value projection and gain:
the condition flow x1 (features of the image) and the denoising flow x2 (features of the noisy mask).
As printed, each flow attends to itself and no feature crosses between the flows; the paper's text speaks of mapping one
flow onto the other, which its equations do not do, so that both readings of it are options.

Legend: B batch, C channels, H W size, L = H * W tokens.
"""

from math import sqrt
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..names import check_name

# On a CPU, from this many tokens on, q and k are padded with zeros to the width of v, because its fused kernel refuses
# unequal widths; q^T k stays the same. benchmarks/psa_padding.py, one CPU thread, batch 16, 1024 tokens, C = 16: 5.8
# times faster, training 3.2 times; at 64 tokens it makes no difference. A GPU has fused kernels for narrow q and k
# (H200, batch 2, 4096 tokens, C = 128: 0.29 ms, padded 0.38 ms in float32; 0.05 ms both in bfloat16).
PAD_FROM_TOKENS = 256

Flow = Literal["condition", "denoising"]
AXES = ("summed", "output")
EXCHANGES = ("none", "map", "query")


class ParameterSharedAttention(nn.Module):
    """PSA of one level.

    Args:
        channels:  C, a multiple of `reduction`.
        reduction: C divided by the width of q and k (8 in the paper).
        scale:     what q^T k is divided by: None (1, as printed) or "sqrt" (the root of q's width, the authors' code).
        axis:      of the softmax: "summed", so that the weights of an output sum to 1, or "output" (the authors' code).
        exchange:  "none" (as printed), "map" (a flow uses the other one's weights: X_1 = v_1 A_2, X_2 = v_2 A_1) or
                   "query" (a flow's keys meet the other one's queries: A_1 = softmax(q_2^T k_1), A_2 alike).

    Raises:
        ValueError: where `channels` is no multiple of `reduction`, or a name is unknown.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        scale: Literal["sqrt"] | None = None,
        axis: Literal["summed", "output"] = "summed",
        exchange: Literal["none", "map", "query"] = "none",
    ) -> None:
        super().__init__()
        if channels % reduction:
            raise ValueError(
                f"PSA needs channels that are a multiple of {reduction}, found {channels}: change the width."
            )
        choices = {"scale": (scale, (None, "sqrt")), "axis": (axis, AXES), "exchange": (exchange, EXCHANGES)}
        for name, (found, allowed) in choices.items():
            check_name(f"{name} of PSA", found, allowed)
        self.scale = 1.0 if scale is None else 1 / sqrt(channels // reduction)
        self.axis = axis
        self.exchange = exchange
        self.query = nn.Conv2d(channels, channels // reduction, 1)  # Q of equation 2, shared by both flows
        self.key = nn.Conv2d(channels, channels // reduction, 1)  # K of equation 2, shared by both flows
        values = {flow: nn.Conv2d(channels, channels, 1) for flow in ("condition", "denoising")}
        self.value = nn.ModuleDict(values)
        for projection in (self.query, self.key, *values.values()):
            assert projection.bias is not None
            nn.init.zeros_(projection.bias)  # as in the authors' code
        # eta_1 and eta_2 of equation 5 start at zero: at first PSA is the identity
        self.gain = nn.ParameterDict({flow: nn.Parameter(torch.zeros(())) for flow in ("condition", "denoising")})

    def attend(self, x: Tensor, flow: Flow, other: Tensor | None = None) -> Tensor:
        """One flow's attention: X = v . softmax(q^T k), x <- eta X + x (equations 3 to 5).

        Args:
            x:     (B, C, H, W) features of the flow.
            flow:  whose value projection and gain to use.
            other: (B, C, H, W) features of the other flow, needed where flows exchange.

        Returns:
            (B, C, H, W).

        Raises:
            ValueError: where flows exchange and `other` is missing.
        """
        if self.exchange != "none" and other is None:
            raise ValueError(f"PSA with exchange {self.exchange!r} needs both flows: pass the other one's features.")
        crossed = x if other is None or self.exchange == "none" else other  # (B, C, H, W)
        query = _tokens(self.query(crossed))  # (B, 1, L, C/8)
        key = _tokens(self.key(crossed if self.exchange == "map" else x))  # (B, 1, L, C/8)
        value = _tokens(self.value[flow](x))  # (B, 1, L, C)
        mix = _mix_summed if self.axis == "summed" else _mix_output
        mixed = mix(query, key, value, self.scale)[:, 0].transpose(1, 2).reshape(x.shape)  # (B, C, H, W)
        return self.gain[flow] * mixed + x  # (B, C, H, W)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Both flows: x1 the condition flow, x2 the denoising flow, each (B, C, H, W)."""
        return self.attend(x1, "condition", x2), self.attend(x2, "denoising", x1)  # (B, C, H, W) twice


def _mix_summed(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """X[n] = sum_m v[m] A[m, n], A the softmax of S[m, n] = q[m] . k[n] over m: (B, 1, L, C)."""
    # Deviation: softmax over the summed axis because the paper names none and only this one makes weights that sum to
    # 1; hence the key projection acts as the query of `scaled_dot_product_attention`.
    if value.device.type == "cpu" and value.shape[2] >= PAD_FROM_TOKENS:
        missing = value.shape[3] - query.shape[3]
        query, key = F.pad(query, (0, missing)), F.pad(key, (0, missing))  # (B, 1, L, C) twice
    return F.scaled_dot_product_attention(key, query, value, scale=scale)  # (B, 1, L, C)


def _mix_output(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The same with the softmax over n, the output's axis: (B, 1, L, C). It stores the L x L weights."""
    weights = (scale * query @ key.transpose(2, 3)).softmax(dim=3)  # (B, 1, L, L)
    return weights.transpose(2, 3) @ value  # (B, 1, L, C)


def _tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, L, C): one head."""
    return x.flatten(2).transpose(1, 2)[:, None]
