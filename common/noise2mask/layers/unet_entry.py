"""Entries of DiffusionDCI's U-Nets (section III): the plain ones of the encoder, the conditioned ones behind it.

An entry is what stands between two skips: a residual block and what belongs to it. The encoder sees noisy image and
timestep alone. The middle and the decoder read a mask (SPADE) and a reference (CAA); what they make of both depends
on nothing else, so that it is made once per image and handed over by name.

Legend: B images, N samples of each, M = B * N, C channels, K classes, H W size, E width of the time embedding, R width
of the reference's embedding.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, cast

from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn

from .cross_attention_alignment import CrossAttentionAlignment, Keys
from .scale_shift_block import ScaleShiftBlock
from .self_attention import SelfAttention
from .spade import SpadeNorm


class Widths(NamedTuple):
    """What all entries of a network share."""

    time: int  # E
    classes: int | None  # K; None for plain norms in place of SPADE
    embedding: int  # R
    head_channels: int
    num_groups: int
    dropout: float
    hidden: int  # of SPADE


def attention(channels: int, shared: Widths) -> SelfAttention:
    """Self-attention whose last convolution starts at zero."""
    made = SelfAttention(channels, shared.num_groups, heads=max(1, channels // shared.head_channels))
    zero_module(made.out)
    return made


class EncoderEntry(nn.Module):
    """A residual block and, where asked for, self-attention.

    Args:
        in_channels: of the input.
        channels:    C.
        attends:     whether there is self-attention.
        down:        whether the block halves the size.
        shared:      by all entries.
    """

    def __init__(self, in_channels: int, channels: int, attends: bool, down: bool, shared: Widths) -> None:
        super().__init__()
        resample: Literal["down", "none"] = "down" if down else "none"
        self.block = ScaleShiftBlock(
            in_channels, channels, shared.time, shared.num_groups, None, resample, shared.dropout
        )
        self.attention = attention(channels, shared) if attends else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (M, in_channels, H, W), embedding (M, E) or (1, E) -> (M, C, H, W), or half the size."""
        return self.attention(self.block(x, embedding))  # (M, C, H, W)


class ConditionedEntry(nn.Module):
    """SPADE residual block -> self-attention -> CAA -> a second SPADE residual block: up-sampling, or the middle's.

    Without classes the blocks have plain norms, and no mask is read.

    Args:
        name:        begins the names of what it keeps in a condition.
        level:       k, the number of halvings of its input.
        in_channels: of the input, its skip included.
        channels:    C.
        tokens:      T of CAA; None for an entry without attentions.
        last:        "up" or "none" for a second block, None for none.
        shared:      by all entries.
    """

    def __init__(
        self,
        name: str,
        level: int,
        in_channels: int,
        channels: int,
        tokens: int | None,
        last: Literal["up", "none"] | None,
        shared: Widths,
    ) -> None:
        super().__init__()
        self.name, self.level, self.channels, self.plain = name, level, channels, shared.classes is None
        rest, spade = (shared.time, shared.num_groups, shared.classes), (shared.dropout, shared.hidden)
        self.block = ScaleShiftBlock(in_channels, channels, *rest, "none", *spade)
        self.attention = self.alignment = self.last = None
        if tokens is not None:
            self.attention = attention(channels, shared)
            self.alignment = CrossAttentionAlignment(channels, tokens, shared.embedding, shared.num_groups)
        if last is not None:
            self.last = ScaleShiftBlock(channels, channels, *rest, last, *spade)

    def made(self, masks: Mapping[int, Tensor], reference: Tensor) -> Iterator[tuple[str, Tensor]]:
        """All that depends on the condition alone, by name.

        Args:
            masks:     level -> (B, K, H, W) at its size, or (1, K, 1, 1): of levels whose modulations are to be kept.
            reference: (B, R) or (1, R).
        """
        for part, block in self._blocks():
            for name, level, norm in self._norms(part, block):
                if level in masks:
                    yield name, norm.modulation(masks[level])
        if self.alignment is not None:
            key, value = self.alignment.keys(reference)
            yield from ((f"{self.name}.key", key), (f"{self.name}.value", value))

    def forward(self, x: Tensor, embedding: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """One evaluation.

        Args:
            x:         (M, in_channels, H, W).
            embedding: (M, E) or (1, E).
            condition: what `made` gives, and `mask_k` (B, K, H, W) of levels k that it left out.

        Returns:
            (M, C, H, W), or twice the size.
        """
        x = self.block(x, embedding, self._modulations("block", self.block, condition))  # (M, C, H, W)
        if self.attention is not None and self.alignment is not None:
            keys = Keys(condition[f"{self.name}.key"], condition[f"{self.name}.value"])
            x = self.alignment(self.attention(x), keys)  # (M, C, H, W)
        if self.last is None:
            return x
        return self.last(x, embedding, self._modulations("last", self.last, condition))  # (M, C, H, W) or twice

    def _blocks(self) -> Iterator[tuple[str, ScaleShiftBlock]]:
        yield "block", self.block
        if self.last is not None:
            yield "last", self.last

    def _norms(self, part: str, block: ScaleShiftBlock) -> Iterator[tuple[str, int, SpadeNorm]]:
        """Name, level of the mask that it reads, and SPADE norm, of both in a block; nothing of plain ones."""
        if self.plain:
            return
        levels = (self.level, self.level - (block.resample == "up"))
        for i, (level, norm) in enumerate(zip(levels, block.norms, strict=True)):
            yield f"{self.name}.{part}_{i}", level, cast(SpadeNorm, norm)

    def _modulations(
        self, part: str, block: ScaleShiftBlock, condition: Mapping[str, Tensor]
    ) -> Sequence[Tensor] | None:
        """Of both norms of a block: those kept, or made from the mask; None for plain ones."""
        if self.plain:
            return None
        return [
            condition[name] if name in condition else norm.modulation(condition[f"mask_{level}"])
            for name, level, norm in self._norms(part, block)
        ]
