"""MedSegDiff-V2: diffusion with an anchor and a semantic condition (Wu et al. 2024, arXiv 2301.11798, figure 2).

Two U-Nets. The condition model sees the image and segments it by itself: that is the anchor. The diffusion model sees
the noisy mask and the timestep. They meet twice: the anchor's decoded features gate the diffusion model's first
features (U-SA), and at the bottleneck the SS-Former takes the image's deepest features c over to those of the mask, e.

    I -> condition encoder -> c ----> condition decoder -> anchor logits
                              |              |
                          SS-Former        U-SA
                              |              |
    x -> stage 0 ------------ | ----------- (*) -> stages 1.. -> e -+
                              +-> e + c^N -> diffusion decoder -> prediction

Legend: B images, N samples of each, M = B * N, C image channels, K classes, H W D size (D in 3D alone), H' W' D' the
same padded to multiples of 2^n, n stages, w = base, c_k = w * multipliers[k] channels of stage k = 0 .. n-1,
d = c_n-1, E width of the time embedding, s_k = (H'/2^k, W'/2^k[, D'/2^k]).
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ..diffusion.denoiser import Condition, Denoiser, add_to_samples, check_channels, for_samples
from ..layers.encoder_decoder import Decoder, Encoder, cropped, padded
from ..layers.residual_block import Stage
from ..layers.ss_former import Keys, SSFormer
from ..layers.time_embedding import TimeEmbedding
from ..layers.uncertain_attention import UncertainAttention, gated
from ..names import check_name

ANCHORS = ("u_sa", "sa", "none")
SEMANTICS = ("ss_former", "sum")


class MedSegDiffV2(Denoiser):
    """The whole network.

    Args:
        in_channels:   C, of the image.
        out_channels:  K, of the mask: one channel per class, the background's too where classes exclude one another.
        spatial_dims:  2 or 3.
        exclusive:     classes exclude one another: the anchor is the softmax of its logits, else their sigmoid.
        base:          w, even.
        multipliers:   c_k / w of the n stages of every encoder and decoder; figure 2 has four.
        blocks:        residual blocks of a stage.
        num_groups:    of GroupNorm, reduced where it does not divide a width.
        anchor:        "u_sa", "sa" (without Gaussian and maximum) or "none" (ablation).
        anchor_levels: gated stages of the diffusion encoder, 0 .. n: the paper's equations have 1, its figure draws 2.
        semantic:      "ss_former", or "sum": e + c (ablation).
        nbp_filter:    of the SS-Former; False for none (ablation).
        former_blocks: of the SS-Former; the paper's number is not known.
        heads:         of the SS-Former.
        norm:          of its affinities, see `SSFormer`.

    Raises:
        ValueError: where a number or a name is out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        spatial_dims: int = 2,
        exclusive: bool = False,
        base: int = 64,
        multipliers: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        num_groups: int = 32,
        anchor: Literal["u_sa", "sa", "none"] = "u_sa",
        anchor_levels: int = 1,
        semantic: Literal["ss_former", "sum"] = "ss_former",
        nbp_filter: bool = True,
        former_blocks: int = 4,
        heads: int = 8,
        norm: Literal["l1", "softmax", "none"] = "l1",
    ) -> None:
        super().__init__()
        check_name("anchor", anchor, ANCHORS)
        check_name("semantic", semantic, SEMANTICS)
        levels = 0 if anchor == "none" else anchor_levels
        if not 0 <= levels <= len(multipliers):
            raise ValueError(f"anchor_levels is {levels}, expected 0 to {len(multipliers)}, the stages of the encoder.")
        if exclusive and out_channels < 2:
            raise ValueError(
                f"exclusive classes need 2 channels or more, the background's among them, found {out_channels}."
            )
        self.in_channels, self.spatial_dims, self.stride = in_channels, spatial_dims, 2 ** len(multipliers)
        self.exclusive = exclusive
        self.time = TimeEmbedding(base)
        seen = self.time.width  # E
        widths = [base * multiplier for multiplier in multipliers]
        self.condition = UNet(in_channels, out_channels, widths, blocks, None, num_groups, spatial_dims)
        self.diffusion = UNet(out_channels, out_channels, widths, blocks, seen, num_groups, spatial_dims)
        self.gates = nn.ModuleList(UncertainAttention(c, spatial_dims, anchor == "u_sa") for c in widths[:levels])
        self.former = None
        if semantic == "ss_former":
            self.former = SSFormer(widths[-1], seen, former_blocks, heads, nbp_filter, norm)

    def encode(self, image: Tensor) -> Condition:
        """The condition model, and all that follows from it alone.

        Args:
            image: (B, C, H, W[, D]) in [-1, 1], of any size: it is padded to multiples of 2^n.

        Returns:
            `c` (B, d, *s_n), `logits` (B, K, H, W[, D]), `gate_k` (B, 1, *s_k) of every gated stage, and of an
            SS-Former `key` and `value` (B, 1, heads, tokens, d / heads).

        Raises:
            ValueError: where the image has another number of channels, or more tokens than an SS-Former takes.
        """
        check_channels(image, self.in_channels)
        model = self.condition
        deepest, skips = model.encoder(padded(image, self.stride))  # (B, d, *s_n), [(B, c_k, *s_k)]
        c = model.middle(deepest)  # (B, d, *s_n)
        features = model.decoder.features(c, skips)  # [(B, c_k, *s_k)]
        logits = model.decoder.output(features[0])  # (B, K, *s_0)
        made = {"c": c, "logits": cropped(logits, image.shape[2:])}
        made |= {f"gate_{k}": gate(features[k]) for k, gate in enumerate(self.gates)}
        if self.former is not None:
            made |= self.former.keys(c)._asdict()
        return Condition(image, self.training, made)

    def at(self, condition: Condition, timesteps: Tensor) -> Condition:
        """Add what depends on timestep and size alone: the SS-Former's `filters` (T, modules, heads, U, U)."""
        if self.former is None:
            return condition
        filters = self.former.filters(self.time(timesteps), condition["c"].shape[2:])  # (T, modules, heads, U, U)
        return condition if filters is None else condition.extended({"filters": filters}, timesteps)

    def coarse(self, condition: Condition) -> Tensor:
        """The anchor: the condition model's own mask, (B, K, H, W[, D]) in [0, 1]."""
        logits = condition["logits"].float()  # (B, K, H, W[, D])
        return logits.softmax(dim=1) if self.exclusive else logits.sigmoid()  # (B, K, H, W[, D])

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x: (M, K, H, W[, D]), the noisy mask, image-major.
            timesteps: (B,) or (1,).
            condition: from `encode`, or from `at` for these timesteps.

        Returns:
            (M, K, H, W[, D]); in train mode a dict that holds it as `prediction`, and the anchor's `logits`
            (B, K, H, W[, D]).

        Raises:
            ValueError: where x or the timesteps do not belong to the condition.
        """
        samples = condition.samples_of(x, self.training)
        condition.check_timesteps(timesteps)
        of_image = self.time(timesteps)  # (B, E) or (1, E)
        embedding = for_samples(of_image, samples)  # (M, E) or (1, E)

        # Encoder, gated by the anchor
        model, skips = self.diffusion, []
        m = model.encoder.stem(padded(x, self.stride))  # (M, c_0, *s_0)
        for k, (stage, down) in enumerate(zip(model.encoder.stages, model.encoder.downs, strict=True)):
            m = stage(m, embedding)  # (M, c_k, *s_k)
            m = gated(m, condition[f"gate_{k}"]) if k < len(self.gates) else m  # (M, c_k, *s_k), equation 3
            skips.append(m)
            m = down(m)  # (M, c_k, *s_k+1)

        # Bottleneck and decoder
        e = model.middle(m, embedding)  # (M, d, *s_n)
        m = self._met(e, of_image, condition)  # (M, d, *s_n)
        prediction = cropped(model.decoder(m, skips, embedding), x.shape[2:])  # (M, K, H, W[, D])
        return {"prediction": prediction, "logits": condition["logits"]} if self.training else prediction

    def _met(self, e: Tensor, embedding: Tensor, condition: Condition) -> Tensor:
        """The mask's deepest features (M, d, *s_n) with the image's."""
        if self.former is None:
            return add_to_samples(e, condition["c"])  # (M, d, *s_n)
        keys = Keys(condition["key"], condition["value"])
        return self.former(e, condition["c"], embedding, condition.get("filters"), keys)  # (M, d, *s_n)


class UNet(nn.Module):
    """The parts of one of both models.

    Args:
        in_channels:  of the image or of the noisy mask.
        out_channels: of the result.
        widths:       c_k.
        blocks:       residual blocks of a stage, and of the middle.
        time_width:   E; None for a model that does not see the timestep.
        num_groups:   of GroupNorm.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        blocks: int,
        time_width: int | None,
        num_groups: int,
        spatial_dims: int,
    ) -> None:
        super().__init__()
        count, deepest, rest = len(widths), widths[-1], (time_width, num_groups, spatial_dims)
        self.encoder = Encoder(in_channels, widths, [blocks] * count, [time_width] * count, num_groups, spatial_dims)
        self.middle = Stage(deepest, deepest, blocks, *rest)
        self.decoder = Decoder(deepest, widths, blocks, out_channels, *rest)
