"""PGDiffSeg: prior-guided denoising diffusion with parameter-shared attention (arXiv 2410.17812, figure 2).

Two encoders of the same structure, one for the noisy mask (denoising flow, a) and one for the image (condition flow,
b), share attention (PSA) after every level and meet in sums at the skips and at the bottleneck, where the prior's
features join; one decoder makes the prediction.

Legend: B images, N samples of each, M = B * N, K classes, H W size, n levels, C_0 = base,
C_i = base * multipliers[i-1]; a level's index i goes from 1 to n, and h_i = H / 2^i, w_i = W / 2^i.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..diffusion.denoiser import Condition, Denoiser
from ..layers.norm import group_norm
from ..layers.psa import ParameterSharedAttention
from ..layers.residual_unit import Bottleneck, EncoderUnit, UpUnit
from ..layers.slim_dense import SlimDenseBlock
from .prior_supervision import PriorSupervision


class PGDiffSeg(Denoiser):
    """The whole network.

    Args:
        in_channels:    of the image.
        out_channels:   K, of the mask.
        base:           C_0, even and a multiple of 8.
        multipliers:    C_i / C_0 of the levels; image sizes must be multiples of 2^n.
        dense_layers:   L of the slim dense blocks.
        dense_norm:     norm of the slim dense blocks, "batch" or "group".
        num_groups:     of GroupNorm, reduced where it does not divide a width.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 64,
        multipliers: Sequence[int] = (2, 4, 8, 16),
        dense_layers: int = 3,
        dense_norm: Literal["batch", "group"] = "batch",
        num_groups: int = 16,
    ) -> None:
        super().__init__()
        widths = [base, *(base * multiplier for multiplier in multipliers)]  # C_0 .. C_n
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.stride = 2 ** len(multipliers)

        # Prior-supervision network (section 3.4)
        self.prior = PriorSupervision(in_channels, widths)

        # Stems and encoders of both flows (sections 3.1 and 3.2)
        self.mask_stem = SlimDenseBlock(out_channels, base, dense_layers, norm=dense_norm, num_groups=num_groups)
        self.image_stem = SlimDenseBlock(in_channels, base, dense_layers, norm=dense_norm, num_groups=num_groups)
        self.denoising_units = nn.ModuleList(EncoderUnit(*pair, base, num_groups) for pair in pairs)
        self.condition_units = nn.ModuleList(EncoderUnit(*pair, base, num_groups) for pair in pairs)
        self.psa = nn.ModuleList(ParameterSharedAttention(width) for width in widths[1:])

        # Bottleneck, decoder, output (figure 12b and c)
        self.bottleneck = Bottleneck(widths[-1], num_groups)
        self.up_units = nn.ModuleList(UpUnit(after, before, base, num_groups) for before, after in pairs)
        # Deviation: GroupNorm and SiLU before the last convolution because the authors' code has a norm there (Batch-
        # Norm, which mixes timesteps); the paper only says "convolution".
        self.output = nn.Sequential(
            group_norm(num_groups, base), nn.SiLU(), nn.Conv2d(base, out_channels, 3, padding=1)
        )

    def freeze_prior(self) -> None:
        """End the prior phase: from now on the prior is in eval mode and has no gradients. Call before DDP wraps."""
        self.prior.requires_grad_(False).eval()
        self.prior.zero_grad(set_to_none=True)  # the optimiser of the next phase would keep a state for them

    def train(self, mode: bool = True) -> "PGDiffSeg":
        """As `nn.Module.train`, but a frozen prior stays in eval mode: its statistics must not drift."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.prior.parameters()):
            self.prior.eval()
        return self

    def encode(self, image: Tensor) -> Condition:
        """All that depends on the image alone.

        Args:
            image: (B, C, H, W) in [-1, 1], H and W multiples of 2^n.

        Returns:
            `prior` (B, C_n, h_n, w_n), `location` logits (B, 1, h_{n-1}, w_{n-1}) and `stem` (B, C_0, H, W).

        Raises:
            ValueError: where H or W is no multiple of 2^n.
        """
        if any(size % self.stride for size in image.shape[2:]):
            found = tuple(image.shape[2:])
            raise ValueError(f"The image's size is {found}; this network needs multiples of {self.stride}: resize it.")
        with torch.no_grad():  # the prior has its own loss (equation 10)
            *_, penultimate, prior = self.prior.features(image)  # (B, C_{n-1}, h_{n-1}, w_{n-1}), (B, C_n, h_n, w_n)
            location = self.prior.localiser(penultimate)  # (B, 1, h_{n-1}, w_{n-1})
        tensors = {"prior": prior, "location": location, "stem": self.image_stem(image)}
        return Condition(image, self.training, tensors)

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
            The condition plus `skip1` .. `skipn` (B, C_i, h_{i-1}, w_{i-1}) and `flow` (B, C_n, h_n, w_n).
        """
        b = condition["stem"]  # (B, C_0, H, W)
        flow = {}
        for i, (unit, psa) in enumerate(zip(self.condition_units, self.psa, strict=True), start=1):
            flow[f"skip{i}"], b = unit(b, timesteps)  # (B, C_i, h_{i-1}, w_{i-1}), (B, C_i, h_i, w_i)
            b = psa.attend(b, "condition")  # (B, C_i, h_i, w_i)
        return condition.extended({**flow, "flow": b})

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x: (M, K, H, W), the noisy mask, image-major.
            timesteps: (B,) or (1,).
            condition: from `encode`, or from `at` for these timesteps.

        Returns:
            (M, K, H, W); in train mode a dict that holds it as `prediction`.

        Raises:
            ValueError: where x does not belong to the condition.
        """
        samples = condition.samples_of(x, self.training)
        if "flow" not in condition:
            condition = self.at(condition, timesteps)
        if len(timesteps) > 1:
            timesteps = timesteps.repeat_interleave(samples)  # (M,)

        a = self.mask_stem(x)  # (M, C_0, H, W)
        skips = []
        for i, (unit, psa) in enumerate(zip(self.denoising_units, self.psa, strict=True), start=1):
            skip, a = unit(a, timesteps)  # (M, C_i, h_{i-1}, w_{i-1}), (M, C_i, h_i, w_i)
            skips.append(_add_to_samples(skip, condition[f"skip{i}"]))  # (M, C_i, h_{i-1}, w_{i-1})
            a = psa.attend(a, "denoising")  # (M, C_i, h_i, w_i)

        m = _add_to_samples(a, condition["flow"] + condition["prior"])  # (M, C_n, h_n, w_n), equation 6
        m = self.bottleneck(m)  # (M, C_n, h_n, w_n)
        for unit, skip in zip(reversed(self.up_units), reversed(skips), strict=True):
            m = unit(m, skip, timesteps)  # (M, C_{i-1}, h_{i-1}, w_{i-1})
        prediction = self.output(m)  # (M, K, H, W)
        return {"prediction": prediction} if self.training else prediction


def _add_to_samples(x: Tensor, shared: Tensor) -> Tensor:
    """Add what the samples of an image share: (M, C, h, w) + (B, C, h, w) -> (M, C, h, w)."""
    if len(x) == len(shared):
        return x + shared
    return (x.unflatten(0, (len(shared), -1)) + shared[:, None]).flatten(0, 1)
