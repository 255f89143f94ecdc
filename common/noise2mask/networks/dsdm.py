"""DSDM: the diffusion model that makes an image for a mask in the style of a reference (DiffusionDCI, stage 1).

One U-Net on the noisy image. Its encoder sees no condition; the middle and the decoder read the mask by SPADE and the
reference's embedding by CAA. Either condition may be missing: an empty mask, and a vector that is learned.

    x_t -> encoder -> middle -> decoder entries 0, 1, .. (deepest first) -> noise and variance
                        ^          ^
                        mask (SPADE), reference (CAA)

Parameters, K = 3, tokens for 256 x 256: 209 million at base 128 and 77 million at base 64, of which CAA has 21 and 18.

Legend: B images, N samples of each, M = B * N, C image channels, K classes, H W size, n levels, w = base,
c_k = w * multipliers[k] channels of level k = 0 .. n-1, s_k = (H/2^k, W/2^k), E width of the time embedding, R width of
the reference's embedding, r = blocks.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from ..diffusion.denoiser import Condition, Denoiser, for_samples
from ..layers.norm import group_norm
from ..layers.time_embedding import TimeEmbedding
from ..layers.unet_entry import ConditionedEntry, EncoderEntry, Widths


class DSDM(Denoiser):
    """The whole network.

    Args:
        classes:        K, of the mask.
        image_channels: C.
        base:           w, even.
        multipliers:    c_k / w of the n levels.
        blocks:         r: an encoder level has r entries, a decoder level r + 1.
        attention_levels: k of levels with self-attention and CAA; the middle counts as the deepest level.
        token_sides:    of CAA's square grid of tokens, for each of these levels.
        head_channels:  of self-attention.
        embedding:      R.
        num_groups:     of GroupNorm, reduced where it does not divide a width.
        dropout:        in residual blocks.
        spade_hidden:   channels between mask and SPADE's modulations.
        cache_max_size: longest side in pixels up to which SPADE's modulations are kept for an image; larger ones, most
            of the memory, are made at every evaluation. None keeps all.
        checkpointing:  training makes features anew in the backward pass: less memory, a third more time.

    Raises:
        ValueError: where a level or a number of channels is out of range.
    """

    def __init__(
        self,
        classes: int = 3,
        image_channels: int = 3,
        base: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        blocks: int = 2,
        attention_levels: Sequence[int] = (3, 4, 5),
        token_sides: Sequence[int] = (32, 16, 8),
        head_channels: int = 64,
        embedding: int = 512,
        num_groups: int = 32,
        dropout: float = 0.0,
        spade_hidden: int = 128,
        cache_max_size: int | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.classes, self.image_channels, self.levels = classes, image_channels, len(multipliers)
        self.cache_max_size, self.checkpointing = cache_max_size, checkpointing
        tokens = _tokens(attention_levels, token_sides, self.levels)
        widths = [base * multiplier for multiplier in multipliers]
        self.time = TimeEmbedding(base)
        self.null_reference = nn.Parameter(torch.zeros(embedding))
        shared = Widths(self.time.width, classes, embedding, head_channels, num_groups, dropout, spade_hidden)
        self.stem = nn.Conv2d(image_channels, base, 3, padding=1)
        self.encoder = _encoder(base, widths, blocks, tokens, shared)
        deepest, width = self.levels - 1, widths[-1]
        self.middle = ConditionedEntry("middle", deepest, width, width, tokens.get(deepest), "none", shared)
        self.decoder = _decoder(base, widths, blocks, tokens, shared)
        last = zero_module(nn.Conv2d(widths[0], 2 * image_channels, 3, padding=1))
        self.output = nn.Sequential(group_norm(num_groups, widths[0]), nn.SiLU(), last)

    def encode(self, mask: Tensor | None = None, reference: Tensor | None = None) -> Condition:
        """All that mask and reference decide: SPADE's modulations, CAA's keys and values.

        Args:
            mask:      one-hot (B, K, H, W), sides multiples of 2^(n-1); all zero for an image without one; None for
                none at all, at any size.
            reference: embeddings (B, R); all zero for an image without one; None for none at all.

        Returns:
            Per entry of middle and decoder the modulations `block_0`, `block_1`, `last_0`, `last_1` (B, 2 c, *s_k), and
            at attention levels `key` and `value` (B, T, c); without a mask (1, 2 c, 1, 1), without a reference
            (1, T, c). `mask_k` (B, K, *s_k) of levels whose modulations are not kept.

        Raises:
            ValueError: where mask or reference do not fit the network or each other.
        """
        self._check(mask, reference)
        if reference is None:
            embedded = self.null_reference[None]  # (1, R)
        else:
            embedded = torch.where(reference.any(dim=1, keepdim=True), reference, self.null_reference)  # (B, R)
        if mask is None:
            one = embedded.new_zeros(1, self.classes, 1, 1)
            kept = masks = dict.fromkeys(range(self.levels), one)  # {k: (1, K, 1, 1)}: each place of an empty mask
        else:
            masks = {k: interpolate(mask, scale_factor=0.5**k, mode="nearest") for k in range(self.levels)}
            kept = {k: at for k, at in masks.items() if self._keeps(at)}
        made = {f"mask_{k}": at for k, at in masks.items() if k not in kept}
        for entry in (self.middle, *self.decoder):
            made.update(entry.made(kept, embedded))
        return Condition(embedded if mask is None else mask, self.training, made)

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x: (M, C, H, W), the noisy image, image-major, H and W multiples of 2^(n-1).
            timesteps: (B,) or (1,).
            condition: from `encode`.

        Returns:
            (M, 2C, H, W): the noise, then the variance's place between its bounds; in train mode a dict that holds it
            as `prediction`.

        Raises:
            ValueError: where x does not fit the network or the condition.
        """
        condition.samples_of(x, self.training)
        prediction = self.decode(self.encoded(x, timesteps), condition)  # (M, 2C, H, W)
        return {"prediction": prediction} if self.training else prediction

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor | None = None, reference: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """x (M, C, H, W), timesteps, mask (B, K, H, W) and reference (B, R) or None -> as `denoise`."""
        return self.denoise(x, timesteps, self.encode(context, reference))

    def features(self, x: Tensor, timesteps: Tensor, condition: Condition, entries: Iterable[int]) -> dict[int, Tensor]:
        """Outputs of some decoder entries, 0 the deepest; nothing behind the last of them is computed.

        Raises:
            ValueError: as `denoise`, or where there is no such entry.
        """
        wanted = set(entries)
        if unknown := wanted - set(range(len(self.decoder))):
            raise ValueError(f"Decoder entries are 0 to {len(self.decoder) - 1}, found {sorted(unknown)}.")
        condition.samples_of(x, self.training)
        outputs = self._decoded(self.encoded(x, timesteps), condition, max(wanted, default=-1) + 1)
        return {i: h for i, h in enumerate(outputs) if i in wanted}  # {i: (M, c_k, *s_k)}

    # Both halves, for those who share the first between conditions

    def encoded(self, x: Tensor, timesteps: Tensor) -> "Encoded":
        """The encoder, which no condition reaches: x (M, C, H, W), timesteps (B,) or (1,) -> what `decode` takes.

        Raises:
            ValueError: where x has other channels or sides than the network takes.
        """
        if x.shape[1] != self.image_channels:
            expected = f"this network takes {self.image_channels}: change image_channels, or the images"
            raise ValueError(f"The noisy image has {x.shape[1]} channels, {expected}.")
        self._check_size("noisy image", x)
        embedding = for_samples(self.time(timesteps), len(x) // len(timesteps))  # (M, E) or (1, E)
        h = self.stem(x)  # (M, w, *s_0)
        skips = [h]
        for entry in self.encoder:
            h = self._run(entry, h, embedding)  # (M, c_k, *s_k)
            skips.append(h)
        return Encoded(skips, embedding)

    def decode(self, encoded: "Encoded", condition: Mapping[str, Tensor]) -> Tensor:
        """Middle and decoder, for a condition's tensors -> (M, 2C, H, W)."""
        h = deque(self._decoded(encoded, condition, len(self.decoder)), maxlen=1).pop()  # (M, c_0, H, W)
        return self.output(h)  # (M, 2C, H, W)

    def _decoded(self, encoded: "Encoded", condition: Mapping[str, Tensor], count: int) -> Iterator[Tensor]:
        """Outputs of the first `count` decoder entries, (M, c_k, *s_k) each, or twice the size."""
        skips = list(encoded.skips)
        h = self._run(self.middle, skips[-1], encoded.embedding, condition)  # (M, c_n-1, *s_n-1)
        for entry in self.decoder[:count]:
            h = self._run(entry, torch.cat([h, skips.pop()], dim=1), encoded.embedding, condition)  # (M, c_k, *s_k)
            yield h

    def _run(self, entry: nn.Module, *args: Any) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(entry, *args, use_reentrant=False))
        return cast(Tensor, entry(*args))

    def _keeps(self, mask: Tensor) -> bool:
        """Whether modulations of the size of this mask are kept; a checkpoint makes them anew with the features."""
        if self.checkpointing and self.training:
            return False
        return self.cache_max_size is None or max(mask.shape[2:]) <= self.cache_max_size

    def _check(self, mask: Tensor | None, reference: Tensor | None) -> None:
        if mask is not None:
            if mask.shape[1] != self.classes:
                expected = f"this network takes {self.classes}, one for each class: change classes, or the masks"
                raise ValueError(f"The mask has {mask.shape[1]} channels, {expected}.")
            self._check_size("mask", mask)
        if reference is None:
            return
        width = len(self.null_reference)
        if reference.ndim != 2 or reference.shape[1] != width:
            expected = f"expected (B, {width}): give what the reference encoder makes of it"
            raise ValueError(f"The reference has shape {tuple(reference.shape)}, {expected}.")
        if mask is not None and len(mask) != len(reference):
            raise ValueError(f"Found {len(reference)} references for {len(mask)} masks, expected one for each.")

    def _check_size(self, what: str, x: Tensor) -> None:
        stride = 2 ** (self.levels - 1)
        if any(side % stride for side in x.shape[2:]):
            expected = f"expected multiples of {stride}: resize it, or take fewer multipliers"
            raise ValueError(f"The {what} has size {tuple(x.shape[2:])}, {expected}.")


class Encoded(NamedTuple):
    """What DSDM's encoder makes of a noisy image at its timestep."""

    skips: list[Tensor]  # (M, c_k, *s_k), the deepest one last
    embedding: Tensor  # (M, E) or (1, E)


def _tokens(levels: Sequence[int], sides: Sequence[int], count: int) -> dict[int, int]:
    """Level -> T."""
    if len(levels) != len(sides) or not set(levels) <= set(range(count)):
        found = f"attention_levels are {list(levels)} and token_sides {list(sides)}"
        raise ValueError(f"{found}, expected levels from 0 to {count - 1} and a side for each.")
    return {level: side**2 for level, side in zip(levels, sides, strict=True)}


def _encoder(base: int, widths: Sequence[int], blocks: int, tokens: Mapping[int, int], shared: Widths) -> nn.ModuleList:
    """r entries a level, and one that halves the size between levels."""
    entries, before = nn.ModuleList(), base
    for k, width in enumerate(widths):
        for _ in range(blocks):
            entries.append(EncoderEntry(before, width, k in tokens, False, shared))
            before = width
        if k < len(widths) - 1:
            entries.append(EncoderEntry(width, width, False, True, shared))
    return entries


def _decoder(base: int, widths: Sequence[int], blocks: int, tokens: Mapping[int, int], shared: Widths) -> nn.ModuleList:
    """r + 1 entries a level, each with a skip of the encoder; the last one of a level doubles the size."""
    skips = [base, *(width for k, width in enumerate(widths) for _ in range(blocks + (k < len(widths) - 1)))]
    entries, before = nn.ModuleList(), widths[-1]
    for k, width in reversed(list(enumerate(widths))):
        for i in range(blocks + 1):
            name = f"decoder_{len(entries)}"
            last: Literal["up"] | None = "up" if k and i == blocks else None
            entries.append(ConditionedEntry(name, k, before + skips.pop(), width, tokens.get(k), last, shared))
            before = width
    return entries
