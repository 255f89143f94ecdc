"""The U-Net that both stages of DiffusionDCI share: an encoder of the image alone, then conditioned entries.

    image -> encoder -> middle -> decoder entries 0, 1, .. (deepest first) -> output

Legend: B images, N samples of each, M = B * N, C image channels, K classes, H W size, n levels, w = base,
c_k = w * multipliers[k] channels of level k = 0 .. n-1, s_k = (H/2^k, W/2^k), E width of the time embedding, R width of
the reference's embedding, r = blocks.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from monai.networks.nets.diffusion_model_unet import zero_module
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..diffusion.denoiser import for_samples, repeated
from ..layers.norm import group_norm
from ..layers.time_embedding import TimeEmbedding
from ..layers.unet_entry import ConditionedEntry, EncoderEntry, Widths

OWN = ("out_channels", "classes", "spade_hidden")  # what networks of one shape may differ in


class Encoded(NamedTuple):
    """What the encoder makes of an image at its timestep."""

    skips: list[Tensor]  # (M, c_k, *s_k), the deepest one last
    embedding: Tensor  # (M, E) or (1, E)

    @property
    def deepest(self) -> Tensor:
        """(M, c_n-1, *s_n-1)."""
        return self.skips[-1]


Changed = Callable[[int, Tensor], Tensor]  # number of a decoder entry, its output (M, c_k, *s_k) -> what goes on


class ConditionedUNet(nn.Module):
    """Layers, and the way through them; what the entries are given is made by those who inherit.

    Args:
        out_channels:   of the output.
        classes:        K, of the mask that SPADE reads; None for plain GroupNorm in the decoder, too.
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
        checkpointing:  training makes features anew in the backward pass: less memory, a third more time.

    Raises:
        ValueError: where a level or a number of channels is out of range.
    """

    def __init__(
        self,
        out_channels: int,
        classes: int | None,
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
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.shape = {name: value for name, value in locals().items() if name not in ("self", "__class__", *OWN)}
        self.image_channels, self.levels, self.checkpointing = image_channels, len(multipliers), checkpointing
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
        last = zero_module(nn.Conv2d(widths[0], out_channels, 3, padding=1))
        self.output = nn.Sequential(group_norm(num_groups, widths[0]), nn.SiLU(), last)

    def unconditioned(self) -> dict[str, Tensor]:
        """What entries with plain norms are given: keys and values of no reference."""
        one = self.null_reference[None]  # (1, R)
        return dict(pair for entry in (self.middle, *self.decoder) for pair in entry.made({}, one))

    def encoded(self, x: Tensor, timesteps: Tensor) -> Encoded:
        """The encoder, which no condition reaches: x (M, C, H, W), timesteps (B,) or (1,) -> what `decode` takes.

        Raises:
            ValueError: where x has other channels or sides than the network takes.
        """
        if x.shape[1] != self.image_channels:
            expected = f"this network takes {self.image_channels}: change image_channels, or the images"
            raise ValueError(f"The image has {x.shape[1]} channels, {expected}.")
        self._check_size("image", x)
        embedding = for_samples(self.time(timesteps), len(x) // len(timesteps))  # (M, E) or (1, E)
        h = self.stem(x)  # (M, w, *s_0)
        skips = [h]
        for entry in self.encoder:
            h = self._run(entry, h, embedding)  # (M, c_k, *s_k)
            skips.append(h)
        return Encoded(skips, embedding)

    def decode(self, encoded: Encoded, condition: Mapping[str, Tensor], changed: Changed | None = None) -> Tensor:
        """Middle, decoder and output, for a condition's tensors -> (M, out_channels, H, W).

        Args:
            encoded:   of `encoded`.
            condition: what the entries take, see `ConditionedEntry`.
            changed:   puts something else in the place of an entry's output.
        """
        outputs = self.decoded(encoded, condition, len(self.decoder), changed)
        return self.output(deque(outputs, maxlen=1).pop())  # (M, out_channels, H, W)

    def decoded(
        self, encoded: Encoded, condition: Mapping[str, Tensor], count: int, changed: Changed | None = None
    ) -> Iterator[Tensor]:
        """Outputs of the first `count` decoder entries, (M, c_k, *s_k) each, or twice the size.

        Where `changed` gives several samples of each image, the skips are those of all of them from then on.
        """
        skips = list(encoded.skips)
        h = self._run(self.middle, encoded.deepest, encoded.embedding, condition)  # (M, c_n-1, *s_n-1)
        for number, entry in enumerate(self.decoder[:count]):
            skip = repeated(skips.pop(), len(h))  # (M, c, *s_k)
            h = self._run(entry, torch.cat([h, skip], dim=1), encoded.embedding, condition)  # (M, c_k, *s_k)
            h = h if changed is None else changed(number, h)  # (M, c_k, *s_k)
            yield h

    def _run(self, entry: nn.Module, *args: Any) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(entry, *args, use_reentrant=False))
        return cast(Tensor, entry(*args))

    def _check_size(self, what: str, x: Tensor) -> None:
        stride = 2 ** (self.levels - 1)
        if any(side % stride for side in x.shape[2:]):
            expected = f"expected multiples of {stride}: resize it, or take fewer multipliers"
            raise ValueError(f"The {what} has size {tuple(x.shape[2:])}, {expected}.")


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
