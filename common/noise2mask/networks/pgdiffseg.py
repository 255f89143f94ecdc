"""PGDiffSeg: prior-guided denoising diffusion with parameter-shared attention (arXiv 2410.17812, figure 2).

Two encoders of the same structure, one for the noisy mask (denoising flow, a) and one for the image (condition flow,
b), share attention (PSA) after every level and meet in sums at the skips and at the bottleneck, where the prior's
features join; one decoder makes the prediction.

Legend: B images, N samples of each, M = B * N, K classes, H W size, n levels, C_0 = base,
C_i = base * multipliers[i-1]; a level's index i goes from 1 to n, and h_i = H / 2^i, w_i = W / 2^i.
"""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..diffusion.denoiser import Condition, Denoiser, add_to_samples, for_samples
from ..layers.norm import norm_layer
from ..layers.psa import ParameterSharedAttention
from ..layers.residual_unit import Bottleneck, EncoderUnit, UpUnit
from ..layers.slim_dense import SlimDenseBlock
from ..layers.time_embedding import TimeEmbedding
from ..layers.time_gain import TimeGain
from .prior_supervision import PriorSupervision

FLOWS = ("condition", "denoising")


class PGDiffSeg(Denoiser):
    """The whole network.

    Args:
        in_channels:      of the image.
        out_channels:     K, of the mask.
        base:             C_0, even and a multiple of 8.
        multipliers:      C_i / C_0 of the levels; image sizes must be multiples of 2^n.
        dense_layers:     L of the slim dense blocks.
        dense_sum:        what they sum: "outputs" (equation 1) or "raw" (the authors' code).
        dense_norm:       their norm, "batch" (figure 3) or "group".
        num_groups:       of GroupNorm, reduced where it does not divide a width.
        psa_scale:        see `ParameterSharedAttention`: None or "sqrt".
        psa_axis:         "summed" or "output".
        psa_exchange:     "none", "map" or "query"; with an exchange the condition flow sees the noisy mask and can not
                          be shared by the samples of an image.
        prior_position:   the prior's features are added "before" the bottleneck (section 6.3) or "after" (the authors'
                          code).
        prior_scale:      their factor (0.2 in the authors' code).
        prior_depth:      see `PriorSupervision`: "paper" or "released".
        prior_classes:    logits of its classifier.
        output_norm:      norm before the last convolution, "group" or "batch" (the authors' code).
        timed_condition:  False for a condition flow that does not see the timestep (not the paper's): it is then
                          computed once per image instead of once per step.
        mask_gain:        weigh the noisy mask's features in the sums at skips and bottleneck by gains that are learned
                          from the timestep and begin at zero (not the paper's): at late timesteps they are noise, about
                          as large as the image's.

    Raises:
        ValueError: where a name is unknown.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 64,
        multipliers: Sequence[int] = (2, 4, 8, 16),
        dense_layers: int = 3,
        dense_sum: Literal["outputs", "raw"] = "outputs",
        dense_norm: Literal["batch", "group"] = "batch",
        num_groups: int = 16,
        psa_scale: Literal["sqrt"] | None = None,
        psa_axis: Literal["summed", "output"] = "summed",
        psa_exchange: Literal["none", "map", "query"] = "none",
        prior_position: Literal["before", "after"] = "before",
        prior_scale: float = 1.0,
        prior_depth: Literal["paper", "released"] = "paper",
        prior_classes: int = 1,
        output_norm: Literal["group", "batch"] = "group",
        timed_condition: bool = True,
        mask_gain: bool = False,
    ) -> None:
        super().__init__()
        if prior_position not in ("before", "after"):
            raise ValueError(f"prior_position is 'before' or 'after', found {prior_position!r}.")
        widths = [base, *(base * multiplier for multiplier in multipliers)]  # C_0 .. C_n
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.stride = 2 ** len(multipliers)
        self.item_classes = prior_classes
        self.exchange = psa_exchange != "none"
        self.timed_condition = timed_condition
        self.prior_position, self.prior_scale = prior_position, prior_scale

        # Prior-supervision network (section 3.4)
        self.prior = PriorSupervision(in_channels, widths, prior_classes, prior_depth)

        # Stems and encoders of both flows (sections 3.1 and 3.2)
        dense: dict[str, Any] = {"dense_sum": dense_sum, "norm": dense_norm, "num_groups": num_groups}
        self.mask_stem = SlimDenseBlock(out_channels, base, dense_layers, **dense)
        self.image_stem = SlimDenseBlock(in_channels, base, dense_layers, **dense)
        self.denoising_units = nn.ModuleList(EncoderUnit(*pair, base, num_groups) for pair in pairs)
        time_dim = base if timed_condition else None
        self.condition_units = nn.ModuleList(EncoderUnit(*pair, time_dim, num_groups) for pair in pairs)
        psa: dict[str, Any] = {"scale": psa_scale, "axis": psa_axis, "exchange": psa_exchange}
        self.psa = nn.ModuleList(ParameterSharedAttention(width, **psa) for width in widths[1:])
        self.gain_time = TimeEmbedding(base) if mask_gain else None
        # Of the bottleneck, and of the skips 1 .. n
        self.gains = nn.ModuleList(TimeGain(self.gain_time.width) for _ in widths) if self.gain_time else None
        # What figures 6 and 7 look at, under names of its own: hooks take modules that give a single tensor
        levels = range(1, len(pairs) + 1)
        names = (f"{flow}_{when}_psa_{i}" for flow in FLOWS for when in ("before", "after") for i in levels)
        self.taps = nn.ModuleDict({name: nn.Identity() for name in names})

        # Bottleneck, decoder, output (figure 12b and c)
        self.bottleneck = Bottleneck(widths[-1], num_groups)
        self.up_units = nn.ModuleList(UpUnit(after, before, base, num_groups) for before, after in pairs)
        # Deviation: a norm and SiLU before the last convolution because the authors' code has them there; the paper
        # only says "convolution". GroupNorm by default, since BatchNorm mixes timesteps.
        norm = norm_layer(output_norm, num_groups, base)
        self.output = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(base, out_channels, 3, padding=1))

    # Training of the prior: apart and then frozen, or jointly

    @property
    def prior_frozen(self) -> bool:
        """Whether the prior has had its own phase; if not, it trains jointly, by logits in the output."""
        return not any(parameter.requires_grad for parameter in self.prior.parameters())

    def freeze_prior(self) -> None:
        """End the prior phase: from now on the prior is in eval mode and has no gradients. Call before DDP wraps."""
        self.prior.requires_grad_(False).eval()
        self.prior.zero_grad(set_to_none=True)  # the optimiser of the next phase would keep a state for them

    def train(self, mode: bool = True) -> "PGDiffSeg":
        """As `nn.Module.train`, but a frozen prior stays in eval mode: its statistics must not drift."""
        super().train(mode)
        if self.prior_frozen:
            self.prior.eval()
        return self

    # The condition: what depends on the image, and on image and timestep

    def encode(self, image: Tensor) -> Condition:
        """All that depends on the image alone.

        Args:
            image: (B, C, H, W) in [-1, 1], H and W multiples of 2^n.

        Returns:
            `prior` (B, C_n, h_n, w_n), `stem` (B, C_0, H, W), the logits `location` (B, 1, h_{n-1}, w_{n-1}) and
            `classification` (B, classes), and the condition flow, as in `at`, where it does not see the timestep.

        Raises:
            ValueError: where H or W is no multiple of 2^n.
        """
        if any(size % self.stride for size in image.shape[2:]):
            found = tuple(image.shape[2:])
            raise ValueError(
                f"The image's size is {found}; this network needs multiples of {self.stride}: change image_size."
            )
        logits = self.prior(image)  # without gradients where it is frozen
        prior = logits.pop("features").detach()  # (B, C_n, h_n, w_n): the prior has its own loss alone (equation 10)
        condition = Condition(image, self.training, {**logits, "prior": prior, "stem": self.image_stem(image)})
        if self.timed_condition or self.exchange:
            return condition
        return condition.extended(self._condition_flow(condition["stem"], None))

    def coarse(self, condition: Condition) -> Tensor:
        """The prior's location map at full size: (B, 1, H, W) in [0, 1]."""
        location = interpolate(condition["location"], condition.image.shape[2:], mode="bilinear", align_corners=False)
        return location.sigmoid()  # (B, 1, H, W)

    def at(self, condition: Condition, timesteps: Tensor) -> Condition:
        """The whole condition flow: it sees image and timestep, never the noisy mask, so N samples share it.

        Args:
            condition: from `encode`.
            timesteps: (B,) or (1,).

        Returns:
            The condition plus `skip1` .. `skipn` (B, C_i, h_{i-1}, w_{i-1}) and `flow` (B, C_n, h_n, w_n); as it is
            where flows exchange features, because then they belong to one noisy mask.

        Raises:
            ValueError: where the condition is already that of other timesteps.
        """
        if self.exchange or "flow" in condition:
            condition.check_timesteps(timesteps)
            return condition
        return condition.extended(self._condition_flow(condition["stem"], timesteps), timesteps)

    def _condition_flow(self, b: Tensor, timesteps: Tensor | None) -> dict[str, Tensor]:
        """b (B, C_0, H, W) -> `skip1` .. `skipn` and `flow`."""
        flow = {}
        for i, (unit, psa) in enumerate(zip(self.condition_units, self.psa, strict=True), start=1):
            flow[f"skip{i}"], b = unit(b, timesteps)  # (B, C_i, h_{i-1}, w_{i-1}), (B, C_i, h_i, w_i)
            b = psa.attend(self._tapped(b, "condition_before", i), "condition")  # (B, C_i, h_i, w_i)
            b = self._tapped(b, "condition_after", i)  # (B, C_i, h_i, w_i)
        return {**flow, "flow": b}

    # One evaluation

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x: (M, K, H, W), the noisy mask, image-major.
            timesteps: (B,) or (1,).
            condition: from `encode`, or from `at` for these timesteps.

        Returns:
            (M, K, H, W); in train mode a dict that holds it as `prediction`, beside the prior's logits
            `classification` (B, classes) and `location` (B, 1, h_{n-1}, w_{n-1}).

        Raises:
            ValueError: where x or the timesteps do not belong to the condition.
        """
        samples = condition.samples_of(x, self.training)
        condition = self.at(condition, timesteps)
        timesteps = for_samples(timesteps, samples)  # (M,) or (1,)
        encoders = self._exchanging_flows if self.exchange else self._denoising_flow
        m, skips = encoders(self.mask_stem(x), timesteps, condition)  # (M, C_n, h_n, w_n), (M, C_i, h_{i-1}, w_{i-1})

        prior = self.prior_scale * condition["prior"]  # (B, C_n, h_n, w_n)
        if self.prior_position == "before":
            m = self.bottleneck(add_to_samples(m, prior))  # (M, C_n, h_n, w_n), equation 6
        else:
            m = add_to_samples(self.bottleneck(m), prior)  # (M, C_n, h_n, w_n)
        for unit, skip in zip(reversed(self.up_units), reversed(skips), strict=True):
            m = unit(m, skip, timesteps)  # (M, C_{i-1}, h_{i-1}, w_{i-1})
        prediction = self.output(m)  # (M, K, H, W)
        if not self.training:
            return prediction  # (M, K, H, W)
        return {"prediction": prediction, **{name: condition[name] for name in ("classification", "location")}}

    def _denoising_flow(self, a: Tensor, timesteps: Tensor, condition: Condition) -> tuple[Tensor, list[Tensor]]:
        """a (M, C_0, H, W) -> both flows' sum (M, C_n, h_n, w_n) and the skips' (M, C_i, h_{i-1}, w_{i-1})."""
        skips, embedding = [], self._gain_embedding(timesteps)  # and (M, E) or (1, E)
        for i, (unit, psa) in enumerate(zip(self.denoising_units, self.psa, strict=True), start=1):
            skip, a = unit(a, timesteps)  # (M, C_i, h_{i-1}, w_{i-1}), (M, C_i, h_i, w_i)
            skip = self._weighed(i, skip, embedding)  # (M, C_i, h_{i-1}, w_{i-1})
            skips.append(add_to_samples(skip, condition[f"skip{i}"]))  # (M, C_i, h_{i-1}, w_{i-1})
            a = psa.attend(self._tapped(a, "denoising_before", i), "denoising")  # (M, C_i, h_i, w_i)
            a = self._tapped(a, "denoising_after", i)  # (M, C_i, h_i, w_i)
        return add_to_samples(self._weighed(0, a, embedding), condition["flow"]), skips

    def _exchanging_flows(self, a: Tensor, timesteps: Tensor, condition: Condition) -> tuple[Tensor, list[Tensor]]:
        """The same where each level's attention sees both flows: every sample has a condition flow of its own."""
        b = condition["stem"].repeat_interleave(len(a) // len(condition["stem"]), dim=0)  # (M, C_0, H, W)
        skips, embedding = [], self._gain_embedding(timesteps)  # and (M, E) or (1, E)
        units = zip(self.denoising_units, self.condition_units, self.psa, strict=True)
        for i, (denoising, conditioning, psa) in enumerate(units, start=1):
            s, a = denoising(a, timesteps)  # (M, C_i, h_{i-1}, w_{i-1}), (M, C_i, h_i, w_i)
            r, b = conditioning(b, timesteps)  # (M, C_i, h_{i-1}, w_{i-1}), (M, C_i, h_i, w_i)
            skips.append(self._weighed(i, s, embedding) + r)  # (M, C_i, h_{i-1}, w_{i-1})
            a, b = self._tapped(a, "denoising_before", i), self._tapped(b, "condition_before", i)
            b, a = psa(b, a)  # (M, C_i, h_i, w_i) twice
            a, b = self._tapped(a, "denoising_after", i), self._tapped(b, "condition_after", i)
        return self._weighed(0, a, embedding) + b, skips

    def _gain_embedding(self, timesteps: Tensor) -> Tensor | None:
        """timesteps (M,) or (1,) -> (M, E) or (1, E), what the gains follow; None where there are none."""
        return None if self.gain_time is None else self.gain_time(timesteps)

    def _weighed(self, level: int, features: Tensor, embedding: Tensor | None) -> Tensor:
        """The mask's features (M, ., h, w) at the skip of a level, or at the bottleneck, 0: times their gain."""
        return features if self.gains is None else self.gains[level](features, embedding)  # (M, ., h, w)

    def _tapped(self, features: Tensor, where: str, level: int) -> Tensor:
        """Features (., C_i, h_i, w_i) as they are, where a hook can see them."""
        return self.taps[f"{where}_psa_{level}"](features)
