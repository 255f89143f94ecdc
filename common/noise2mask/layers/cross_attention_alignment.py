"""CAA: cross-attention alignment of features with a reference (DiffusionDCI, equations 10 and 11).

In stage 1 the reference is one vector, of which a linear layer makes a small map of tokens; in stage 2 it is what a
diffusion model has at the same place of its decoder. Every place of the features attends to all of it.

Legend: B images, N samples of each, M = B * N, C channels, H W size, L = H * W places, R width of the reference's
embedding, T tokens, e their width, S number of places of other features.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn

from .norm import group_norm

WIDTH = 8  # e: with 1, as equation 10 reads literally, the values have rank one; with C the weights are 512 * T * C


class Keys(NamedTuple):
    """What features attend to: once per reference."""

    key: Tensor  # (B, T, C)
    value: Tensor  # (B, T, C)


class Alignment(nn.Module):
    """x + softmax(Q K^T / sqrt(C)) V W_O, Q = GroupNorm(x) W_Q, of keys and values that others make.

    One head, as the equation's root says; W_O begins at zero, so that a fresh block changes nothing.

    Args:
        channels:   C.
        num_groups: of GroupNorm.
    """

    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__()
        self.norm = group_norm(num_groups, channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.out = zero_module(nn.Linear(channels, channels, bias=False))

    def forward(self, x: Tensor, keys: Keys) -> Tensor:
        """x (M, C, H, W), image-major, keys (B, T, C) -> (M, C, H, W)."""
        queries = self.query(self.norm(x).flatten(2).transpose(1, 2))  # (M, L, C)
        queries = queries.reshape(len(keys.key), -1, queries.shape[2])  # (B, N L, C): samples share the keys
        key, value = keys.key[:, None], keys.value[:, None]  # (B, 1, T, C) twice
        mixed = F.scaled_dot_product_attention(queries[:, None], key, value)  # (B, 1, N L, C)
        return x + self.out(mixed).reshape(len(x), -1, x.shape[1]).transpose(1, 2).reshape(x.shape)  # (M, C, H, W)


class CrossAttentionAlignment(Alignment):
    """To a reference's embedding: K = E W_K, V = E W_V, E = Psi(reference).

    Args:
        channels:   C.
        tokens:     T.
        embedding:  R.
        num_groups: of GroupNorm.
    """

    def __init__(self, channels: int, tokens: int, embedding: int, num_groups: int) -> None:
        super().__init__(channels, num_groups)
        # Deviation: keys come from the tokens of Psi too, not from the vector itself as in equation 10, because the
        # softmax over a single key is 1: no place would differ from another.
        self.psi = nn.Linear(embedding, tokens * WIDTH)
        self.key = nn.Linear(WIDTH, channels, bias=False)
        self.value = nn.Linear(WIDTH, channels, bias=False)

    def keys(self, reference: Tensor) -> Keys:
        """Embedding of the reference image (B, R) -> keys and values (B, T, C)."""
        tokens = self.psi(reference).unflatten(1, (-1, WIDTH))  # (B, T, e)
        return Keys(self.key(tokens), self.value(tokens))  # (B, T, C) twice


class FeatureAlignment(Alignment):
    """To features of another network (DiffusionDCI, section III-D): K and V by 1x1 convolutions of them.

    Args:
        channels:   C, of both.
        num_groups: of GroupNorm.
    """

    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__(channels, num_groups)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:  # type: ignore[override]  # makes the keys itself
        """x (M, C, H, W), features (M, C, h, w) -> (M, C, H, W)."""
        places = features.flatten(2).transpose(1, 2)  # (M, S, C)
        return super().forward(x, Keys(self.key(places), self.value(places)))  # (M, C, H, W)


class FeatureSkip(nn.Module):
    """Features of another network as a skip connection: beside x through a 1x1 convolution, which begins as x alone.

    Args:
        channels: C, of both.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        nn.init.dirac_(self.mix.weight)  # 1 for channel c of x, 0 for all of the features
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x and features (M, C, H, W) -> (M, C, H, W)."""
        return self.mix(torch.cat([x, features], dim=1))  # (M, C, H, W)
