"""SS-Former of MedSegDiff-V2, the spectrum-space transformer (Wu et al. 2024, section on the semantic condition).

The image's deepest features c and those of the noisy mask e meet in blocks of two modules, each a cross-attention whose
affinity is filtered in Fourier space:

    module 1, noise to semantics:   c~ = c  + attention(query e,  key and value c),  then + MLP
    module 2, semantics to noise:   c' = c~ + attention(query c~, key and value e),  then + MLP

c' is the next block's c. The Fourier transform F is unitary and the projections are real, so that without a filter the
affinity F^H (F q)(F k)^H F is that of space, q k^T: then no transform is made. With one, F may be the real transform,
onto cosines plus sines: the filter treats a frequency and its negative alike, so that both give the same affinity.

Legend: B images, N samples of each, M = B * N, C channels, H W D size of the grid, L = H * W [* D] tokens and
frequencies, h heads, T timesteps (B or 1), E width of the time embedding, U radii of frequencies. Inside, tokens are
(B, N, L, C), with N = 1 where they belong to the image.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn

from ..names import check_name
from .nbp_filter import NBPFilter, by_frequency
from .norm import TimeNorm

NORMS = ("l1", "softmax", "none")
MOST_TOKENS = 4096  # heads * L^2 float32 of a sample's affinity: 256 MiB with 4 heads
POSITION_BASE = 100.0  # wavelengths of 6 to 600 tokens: the deepest grid of a network has tens of them per axis


class Keys(NamedTuple):
    """What a module attends to; of the first module it depends on the image alone."""

    key: Tensor  # (B, N, h, L, C/h), by frequency where there is a filter, else by place
    value: Tensor  # (B, N, h, L, C/h), by place


class SSFormer(nn.Module):
    """N blocks; the result is e + c^N, which is e + c at the start.

    Args:
        channels:   C of both feature maps, a multiple of `heads`.
        time_width: E.
        blocks:     of two modules each; the paper's number is not known.
        heads:      h.
        nbp_filter: False for no filter (ablation).
        norm:       of the affinity's rows: "l1" (by the sum of absolute values), "softmax" or "none" (the paper's
                    figure).

    Raises:
        ValueError: where `channels` is no multiple of `heads`, or the norm is unknown.
    """

    def __init__(
        self,
        channels: int,
        time_width: int,
        blocks: int = 4,
        heads: int = 8,
        nbp_filter: bool = True,
        norm: Literal["l1", "softmax", "none"] = "l1",
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"SS-Former has {channels} channels, expected a multiple of its {heads} heads.")
        check_name("norm of SS-Former", norm, NORMS)
        modules = nn.ModuleList(SSModule(channels, time_width, heads, nbp_filter, norm) for _ in range(2 * blocks))
        self.steps = cast(Sequence[SSModule], modules)  # both of block 1, both of block 2, ..
        self.filter = NBPFilter(len(modules), heads, time_width) if nbp_filter else None

    def filters(self, embedding: Tensor, grid: Sequence[int]) -> Tensor | None:
        """What depends on timestep and size alone: embedding (T, E) -> (T, modules, h, U, U); None without filter."""
        return None if self.filter is None else self.filter(embedding, grid)  # (T, modules, h, U, U)

    def keys(self, c: Tensor) -> Keys:
        """What depends on the image alone: c (B, C, H, W[, D]) -> keys and values of the first module, with N = 1.

        Raises:
            ValueError: where the grid has more than `MOST_TOKENS`.
        """
        _check_tokens(c.shape[2:])
        return self.steps[0].keys(_tokens(c, len(c)), c.shape[2:])

    def forward(
        self, e: Tensor, c: Tensor, embedding: Tensor, filters: Tensor | None = None, keys: Keys | None = None
    ) -> Tensor:
        """Features for the decoder.

        Args:
            e:         (M, C, H, W[, D]), of the noisy mask, image-major.
            c:         (B, C, H, W[, D]), of the image.
            embedding: (B, E) or (1, E), of the timestep.
            filters:   from `filters`; None: made here.
            keys:      from `keys`; None: made here.

        Returns:
            (M, C, H, W[, D]).

        Raises:
            ValueError: where the grid has more than `MOST_TOKENS`.
        """
        grid = c.shape[2:]
        filters = self.filters(embedding, grid) if filters is None else filters
        keys = self.keys(c) if keys is None else keys
        noise, stream = _tokens(e, len(c)), _tokens(c, len(c))  # (B, N, L, C), (B, 1, L, C)
        for k, step in enumerate(self.steps):
            factors = None if filters is None else filters[:, k]  # (T, h, U, U)
            query, source = (noise, stream) if k % 2 == 0 else (stream, noise)
            keys = step.keys(source, grid) if k > 0 else keys
            # Deviation: the figure hands on the attention's output alone; the sum, because only a residual on the
            # condition's stream that reaches the decoder gives the condition model a gradient at the start.
            stream = step(stream, query, keys, embedding, factors, grid)  # (B, N, L, C)
        return e + stream.flatten(0, 1).transpose(1, 2).reshape(e.shape)  # (M, C, H, W[, D])


class SSModule(nn.Module):
    """One module: x + attention, then x + MLP, with norms before both; nothing is added to x at the start.

    Args:
        channels:   C.
        time_width: E.
        heads:      h.
        filtered:   whether its affinity is filtered, and its keys are spectra therefore.
        norm:       of the affinity's rows.
    """

    def __init__(self, channels: int, time_width: int, heads: int, filtered: bool, norm: str) -> None:
        super().__init__()
        self.heads, self.filtered, self.norm = heads, filtered, norm
        self.query_norm, self.key_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels, bias=False) for _ in range(3))
        self.out = zero_module(nn.Linear(channels, channels))
        self.mlp_norm = TimeNorm(channels, time_width)
        last = zero_module(nn.Linear(4 * channels, channels))
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), last)

    def keys(self, x: Tensor, grid: Sequence[int]) -> Keys:
        """x (B, N, L, C), what is attended to."""
        placed = self.key_norm(x) + _positions(tuple(grid), x.shape[-1], x.device)  # (B, N, L, C)
        key = self._split(self.key(placed))  # (B, N, h, L, C/h)
        return Keys(spectrum(key, grid) if self.filtered else key, self._split(self.value(placed)))

    def forward(
        self, x: Tensor, query: Tensor, keys: Keys, embedding: Tensor, factors: Tensor | None, grid: Sequence[int]
    ) -> Tensor:
        """x and query (B, N, L, C), embedding (T, E), factors (T, h, U, U) or None -> (B, N, L, C)."""
        x = x + self.attend(query, keys, factors, grid)  # (B, N, L, C)
        return x + self.mlp(self.mlp_norm(x, embedding))  # (B, N, L, C)

    def attend(self, query: Tensor, keys: Keys, factors: Tensor | None, grid: Sequence[int]) -> Tensor:
        """query (B, N, L, C) -> (B, N, L, C); affinities are float32 also under autocast."""
        # Deviation: the position is added to queries and keys too, not to values alone, because without a filter the
        # affinity would not depend on where tokens stand.
        placed = self.query_norm(query) + _positions(tuple(grid), query.shape[-1], query.device)  # (B, N, L, C)
        q = self._split(self.query(placed))  # (B, N, h, L, C/h)
        with torch.autocast(q.device.type, enabled=False):
            scaled = q.float() * q.shape[-1] ** -0.5
            if factors is None:
                affinity = scaled @ keys.key.float().mT  # (B, N, h, L, L)
            else:
                affinity = filtered_affinity(spectrum(scaled, grid), keys.key, factors[:, None], grid)
            mixed = normed(affinity, self.norm) @ keys.value.float()  # (B, N, h, L, C/h)
        return self.out(mixed.transpose(2, 3).flatten(3).to(q.dtype))  # (B, N, L, C)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, L, C) -> (B, N, h, L, C/h)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(2, 3)


def spectrum(x: Tensor, grid: Sequence[int]) -> Tensor:
    """The transform over the grid, in float32: (..., L, C) by place -> (..., L, C) by frequency."""
    with torch.autocast(x.device.type, enabled=False):
        return _fourier(tuple(grid), x.device) @ x.float()


def filtered_affinity(query: Tensor, key: Tensor, factors: Tensor, grid: Sequence[int]) -> Tensor:
    """The affinity in space, of spectra: F^H (factors * Q K^H) F.

    Args:
        query:   (..., L, C), as `spectrum` gives it.
        key:     (..., L, C), likewise.
        factors: (..., U, U), as `NBPFilter` gives them.
        grid:    (H, W[, D]).

    Returns:
        (..., L, L), by query and key.
    """
    basis = _fourier(tuple(grid), query.device)  # (L, L), symmetric
    return basis @ (query @ key.mT * by_frequency(factors, grid)) @ basis  # (..., L, L)


def normed(affinity: Tensor, norm: str) -> Tensor:
    """The affinity (..., L, L) with normalised rows."""
    # Deviation: divided by the sum of absolute values, where the figure has no norm, because what a module adds would
    # grow with the features: its deviation is 3.5 in place of 0.055.
    if norm == "l1":
        return F.normalize(affinity, p=1.0, dim=-1)
    return affinity.softmax(dim=-1) if norm == "softmax" else affinity


def _check_tokens(grid: torch.Size) -> None:
    if grid.numel() > MOST_TOKENS:
        raise ValueError(
            f"SS-Former has {grid.numel()} tokens, a grid of {' x '.join(map(str, grid))}, expected {MOST_TOKENS} at "
            "most, because its memory grows with heads * tokens^2: take a smaller image_size, go slice by slice "
            "(spatial_dims: 2), or add a stage (network_def::multipliers)."
        )


def _tokens(x: Tensor, images: int) -> Tensor:
    """(M, C, H, W[, D]), image-major -> (B, N, L, C)."""
    return x.flatten(2).transpose(1, 2).unflatten(0, (images, -1))


@lru_cache(maxsize=64)  # every step of a sampler asks for the same
@torch.inference_mode(False)  # what is kept must serve training too
def _positions(grid: tuple[int, ...], channels: int, device: torch.device) -> Tensor:
    """Sines and cosines of the place on every axis, the short wavelengths first: (L, C)."""
    axes = torch.meshgrid(*(torch.arange(length, dtype=torch.float32) for length in grid), indexing="ij")
    place = torch.stack(axes, dim=-1).reshape(-1, 1, len(grid))  # (L, 1, axes)
    count = -(-channels // (2 * len(grid)))
    rates = POSITION_BASE ** -(torch.arange(count) / count)  # (count,), radians per token
    angles = place * rates[:, None]  # (L, count, axes)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :channels].to(device)  # (L, C)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _fourier(grid: tuple[int, ...], device: torch.device) -> Tensor:
    """The real Fourier (Hartley) basis (L, L), a product over the axes: orthonormal, symmetric, in `fftfreq`'s order.

    At 64 tokens it takes a third of an FFT's time on a CPU, at 256 as long; from about 1000 on it would be slower.
    """
    basis = torch.ones(1, 1, dtype=torch.float64)
    for length in grid:
        place = torch.arange(length, dtype=torch.float64)
        angles = place[:, None] * place % length * (2 * torch.pi / length)
        basis = torch.kron(basis, (angles.cos() + angles.sin()) / length**0.5)
    return basis.float().to(device)
