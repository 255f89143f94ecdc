"""MedSegDiff: diffusion with dynamic conditional encoding and FF-Parser (Wu et al. 2023, arXiv 2211.00611, figure 1).

Two encoders of three stages, for the image (I) and for the noisy mask (x); after the first and the second stage the
mask's features, filtered by FF-Parser, gate the image's (A); behind the third both are added and go through a shared
trunk and a decoder, whose skips come from the mask's encoder, and by option from both.

    I -> C1 -(A)-> C2 -(A)-> C3 -+
             |         |        (+) -> trunk -> decoder -> prediction
            FFP       FFP        |
    x -> X1 -+---> X2 -+---> X3 -+

Legend: B images, N samples of each, M = B * N, C image channels, K classes, H W D size (D in 3D alone), H' W' D' the
same padded to multiples of 2^n, n downsamplings, w = base, E width of the time embedding. After k of them the size is
s_k = (H'/2^k, W'/2^k[, D'/2^k]); stage k of the encoders, k = 0, 1, 2, has c_k = 2^k w channels.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from ..diffusion.denoiser import Condition, Denoiser, add_to_samples, check_channels, for_samples
from ..layers.dynamic_encoding import DynamicEncoding
from ..layers.encoder_decoder import Decoder, Encoder, cropped, padded
from ..layers.ff_parser import FFParser
from ..layers.residual_block import ResidualBlock, Stage
from ..layers.self_attention import SelfAttention
from ..layers.time_embedding import TimeEmbedding
from ..layers.time_gain import TimeGain

MULTIPLIERS = (1, 2, 4)  # widths of the three stages, over the base; the trunk's is 8 (section II-C: as ResNet34)
TRUNK_MULTIPLIER = 8


class MedSegDiff(Denoiser):
    """The whole network.

    Args:
        in_channels:      C, of the image.
        out_channels:     K, of the mask.
        spatial_dims:     2 or 3.
        base:             w, even.
        blocks:           residual blocks of the three stages of both encoders, and of every stage of the trunk.
        decoder_blocks:   of every stage of the decoder.
        downsamplings:    n, from 4 up: 4, 5 and 6 are the paper's S, B and L; three are those of the encoders' stages,
                          the others those of the trunk.
        num_groups:       of GroupNorm, reduced where it does not divide a width.
        dynamic_encoding: "tanh", "exact" (equation 3) or "residual", see `DynamicEncoding`; "none" leaves the image's
                          features as they are, so that both flows meet in sums alone (ablation).
        ff_parser:        False for no filter (ablation). Without dynamic encoding it filters the mask's own flow.
        grid:             stored frequencies per axis of `FFParser`.
        condition_skips:  add the image's features to the skips of the decoder; False is figure 1, where the image
                          reaches it through the trunk alone.
        mask_gain:        weigh the mask's features in the skips and in the sum by gains that are learned from the
                          timestep and begin at zero, so that the network begins as one that segments the image; False
                          is figure 1, where they are added as they are.
        learn_sigma:      predict the variance's fraction beside the mask: 2K channels (improved DDPM).

    Raises:
        ValueError: where a number or a name is out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        spatial_dims: int = 2,
        base: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        decoder_blocks: int = 2,
        downsamplings: int = 5,
        num_groups: int = 32,
        dynamic_encoding: Literal["tanh", "exact", "residual", "none"] = "tanh",
        ff_parser: bool = True,
        grid: int = 64,
        condition_skips: bool = True,
        mask_gain: bool = True,
        learn_sigma: bool = False,
    ) -> None:
        super().__init__()
        if downsamplings < 4:
            raise ValueError(f"downsamplings is {downsamplings}, expected 4 or more: three are those of the encoders.")
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"blocks is {list(blocks)}, expected 4 numbers from 1 up: three stages and the trunk.")
        self.in_channels, self.spatial_dims, self.stride = in_channels, spatial_dims, 2**downsamplings
        self.condition_skips = condition_skips
        self.time = TimeEmbedding(base)
        seen = self.time.width  # E
        widths = [base * multiplier for multiplier in MULTIPLIERS]
        trunk = [base * TRUNK_MULTIPLIER] * (downsamplings - len(MULTIPLIERS))

        # The image's first stage does not see the timestep, so that it is computed once per image
        self.image_encoder = Encoder(in_channels, widths, blocks[:3], (None, seen, seen), num_groups, spatial_dims)
        self.mask_encoder = Encoder(out_channels, widths, blocks[:3], (seen, seen, seen), num_groups, spatial_dims)
        self.parsers = nn.ModuleList(
            FFParser(c, spatial_dims, grid) if ff_parser else nn.Identity() for c in widths[:2]
        )
        self.gates = None
        if dynamic_encoding != "none":
            self.gates = nn.ModuleList(DynamicEncoding(c, dynamic_encoding) for c in widths[:2])
        # Deviation: a gain from zero on because added as they are the features of pure noise hide the image's, and the
        # network learns where a lesion is, but not its outline (docs/explanation/choices.md).
        self.gains = nn.ModuleList(TimeGain(seen) for _ in (*widths, widths[-1])) if mask_gain else None
        self.trunk = Trunk(widths[-1], trunk, blocks[3], seen, num_groups, spatial_dims)
        channels = (2 if learn_sigma else 1) * out_channels
        skips = [*widths, widths[-1], *trunk[:-1]]
        self.decoder = Decoder(trunk[-1], skips, decoder_blocks, channels, seen, num_groups, spatial_dims)

    def encode(self, image: Tensor) -> Condition:
        """The image encoder's first stage, which sees neither timestep nor noisy mask.

        Args:
            image: (B, C, H, W[, D]) in [-1, 1], of any size: it is padded to multiples of 2^n.

        Returns:
            `stage1` (B, w, *s_0), at the padded size.

        Raises:
            ValueError: where the image has another number of channels.
        """
        check_channels(image, self.in_channels)
        stem = self.image_encoder.stem(padded(image, self.stride))  # (B, w, *s_0)
        return Condition(image, self.training, {"stage1": self.image_encoder.stages[0](stem)})

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x: (M, K, H, W[, D]), the noisy mask, image-major.
            timesteps: (B,) or (1,).
            condition: from `encode`.

        Returns:
            (M, K, H, W[, D]), or 2K channels with `learn_sigma`; in train mode a dict that holds it as `prediction`.

        Raises:
            ValueError: where x does not belong to the condition.
        """
        samples = condition.samples_of(x, self.training)
        of_image = self.time(timesteps)  # (B, E) or (1, E)
        embedding = for_samples(of_image, samples)  # (M, E) or (1, E)
        flow = of_image if self.gates is None else embedding  # (B, E), (M, E) or (1, E)

        # Encoders and junctions: without gates the image's flow belongs to the image, else to one noisy mask
        images, masks = self.image_encoder, self.mask_encoder
        m_x = masks.stem(padded(x, self.stride))  # (M, w, *s_0)
        m_i = condition["stage1"]  # (B, w, *s_0)
        skips = []
        for k in range(len(MULTIPLIERS)):
            m_x = masks.stages[k](m_x, embedding)  # (M, c_k, *s_k)
            if k > 0:
                m_i = images.stages[k](m_i, flow)  # (B or M, c_k, *s_k)
            skip = self._weighed(k, m_x, embedding)  # (M, c_k, *s_k)
            skips.append(add_to_samples(skip, m_i) if self.condition_skips else skip)  # (M, c_k, *s_k)
            if k < len(self.parsers):
                m_i, m_x = self._meet(k, m_i, m_x)  # (B or M, c_k, *s_k), (M, c_k, *s_k)
            m_i, m_x = images.downs[k](m_i), masks.downs[k](m_x)  # (B or M, c_k, *s_k+1), (M, c_k, *s_k+1)

        # Trunk and decoder (equation 2)
        both = add_to_samples(self._weighed(len(skips), m_x, embedding), m_i)  # (M, 4w, *s_3)
        m, deeper = self.trunk(both, embedding)  # (M, 8w, *s_n), [(M, 4w, *s_3), ..]
        prediction = self.decoder(m, skips + deeper, embedding)  # (M, K, *s_0)
        prediction = cropped(prediction, x.shape[2:])  # (M, K, H, W[, D])
        return {"prediction": prediction} if self.training else prediction

    def _weighed(self, k: int, m_x: Tensor, embedding: Tensor) -> Tensor:
        """The mask's features (M, c_k, *s_k), as much of them as the timestep's gain lets through."""
        return m_x if self.gains is None else self.gains[k](m_x, embedding)  # (M, c_k, *s_k)

    def _meet(self, k: int, m_i: Tensor, m_x: Tensor) -> tuple[Tensor, Tensor]:
        """A junction: the image's features, gated by the mask's filtered ones, and the mask's, shapes as they were."""
        parsed = self.parsers[k](m_x)  # (M, c_k, *s_k)
        return (m_i, parsed) if self.gates is None else (self.gates[k](m_i, parsed), m_x)


class Trunk(nn.Module):
    """The stages of both flows' sum, each behind a convolution of stride 2; then a middle with attention.

    Args:
        in_channels:  of the sum.
        widths:       of the stages.
        blocks:       residual blocks of each.
        time_width:   E.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self, in_channels: int, widths: Sequence[int], blocks: int, time_width: int, num_groups: int, spatial_dims: int
    ) -> None:
        super().__init__()
        convolution, width = Conv[Conv.CONV, spatial_dims], widths[-1]
        pairs = pairwise([in_channels, *widths])
        self.downs = nn.ModuleList(convolution(i, o, 3, stride=2, padding=1) for i, o in pairs)
        self.stages = nn.ModuleList(Stage(o, o, blocks, time_width, num_groups, spatial_dims) for o in widths)
        self.before = ResidualBlock(width, width, time_width, num_groups, spatial_dims)
        self.attention = SelfAttention(width, num_groups, spatial_dims)
        self.after = ResidualBlock(width, width, time_width, num_groups, spatial_dims)

    def forward(self, m: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """m (M, 4w, *s_3) -> (M, 8w, *s_n) and what went into every stage, for the decoder's skips."""
        skips = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            skips.append(m)
            m = stage(down(m), embedding)  # (M, 8w, *s_k), k = 4 .. n
        return self.after(self.attention(self.before(m, embedding)), embedding), skips  # (M, 8w, *s_n)
