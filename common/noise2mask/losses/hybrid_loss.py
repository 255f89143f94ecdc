"""Loss of a network that learns the variance of a step too (Nichol and Dhariwal 2021, "Improved DDPM", section 3.1).

L_hybrid = L_simple + vlb_weight * L_vlb (equation 16). L_vlb teaches the variance alone: the prediction in it is
stopped. It is the KL divergence of the step that the network stands for from the true one, which both are normal
distributions of x_{t-1} given x_t: the same mean, but with the network's x0 in place of the true one, and a variance
between that of the true posterior and beta (equation 15).

The last step of images, whose values are those of 8 bits, has their likelihood in place of the divergence (Ho et al.
2020, "Denoising diffusion probabilistic models", equation 13).

Legend: B batch, K classes, H W D size, T timesteps; every tensor is (B, K, H, W[, D]), written (B, K, ...).
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.special import log_ndtr

from ..diffusion.noise_schedule import NoiseSchedule
from ..diffusion.target import split_variance, to_x0
from .diffusion_loss import DiffusionLoss

FAR = 1e3  # standard deviations: the outer edge of the first and the last bin, in place of infinity


class HybridLoss(nn.Module):
    """L_simple + vlb_weight * L_vlb, in place of `DiffusionLoss` where the network has `learn_sigma`.

    L_vlb is estimated from the drawn timesteps, T times their divergence, in bits per pixel and class.

    Args:
        noise_schedule: of training, at least 2 timesteps.
        target:         what the network predicts: "x0", "epsilon" or "v".
        mask_scale:     clean masks live on +-mask_scale.
        dice_weight:    of Dice in L_simple, as in `DiffusionLoss`.
        vlb_weight:     lambda of equation 16.
        levels:         values that a channel of the data can have, spread over +-mask_scale: 256 for images, whose
            last step then costs their likelihood. None for masks: the divergence there too.

    Raises:
        ValueError: as `DiffusionLoss`, or where the schedule has one timestep, which has no variance to learn.
    """

    def __init__(
        self,
        noise_schedule: NoiseSchedule,
        target: str = "x0",
        mask_scale: float = 0.3,
        dice_weight: float = 0.0,
        vlb_weight: float = 0.001,
        levels: int | None = None,
    ) -> None:
        super().__init__()
        if noise_schedule.timesteps < 2:
            raise ValueError("The noise schedule has 1 timestep, expected at least 2 to learn a variance: give more.")
        self.simple = DiffusionLoss(target, mask_scale, dice_weight)
        self.vlb_weight = vlb_weight
        self.bin = None if levels is None else 2 * mask_scale / (levels - 1)  # 2 / 255 for images on +-1
        self.timesteps = noise_schedule.timesteps
        self.steps = _steps(noise_schedule)  # (3, T)

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss.

        Args:
            output: of a denoiser in train mode, `prediction` (B, 2 K, ...): K channels of the prediction, then K of
                the variance.
            target: of `PrepareDiffusion`, made with the same schedule: what `DiffusionLoss` takes, and `timesteps`.

        Raises:
            ValueError: where the prediction has not 2 K channels.
        """
        classes = target["prediction"].shape[1]
        prediction, fraction = split_variance(output["prediction"].float(), classes)  # (B, K, ...) twice
        if fraction is None:
            raise ValueError("The network learns no variance: set its learn_sigma, or take DiffusionLoss.")
        vlb = self.timesteps * self.divergence(prediction, fraction, target).mean()
        return self.simple({**output, "prediction": prediction}, target) + self.vlb_weight * vlb

    def divergence(self, prediction: Tensor, fraction: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """KL(q(x_{t-1} | x_t, x0) || p(x_{t-1} | x_t)) of every pixel, in bits; no gradient reaches `prediction`.

        At t = 0, where q is the clean mask itself, q has the variance that it has at t = 1; with `levels` it is
        -log2 p(x0 | x_0), p being taken over the bin of x0's value.

        Args:
            prediction: (B, K, ...).
            fraction:   (B, K, ...), of `split_variance`.
            target:     as in a call.

        Returns:
            (B, K, ...), 0 or more.
        """
        # Deviation: at t = 0 the divergence in place of the likelihood of one of 256 values because masks have two.
        scale, kind, noisy = self.simple.mask_scale, self.simple.target, target["noisy"]
        x0 = scale * (2 * target["mask"] - 1)  # (B, K, ...)
        guess = to_x0(kind, prediction.detach(), noisy, target["alpha"], target["sigma"])  # (B, K, ...)
        slope, log_small, log_large = self._at(target["timesteps"], like=x0)  # (B, 1, ...) each
        log_variance = fraction * log_large + (1 - fraction) * log_small  # (B, K, ...), equation 15
        excess = log_variance - log_small  # (B, K, ...)
        distance = (slope * (guess - x0)) ** 2  # (B, K, ...), of the means
        nats = 0.5 * (excess + torch.expm1(-excess) + distance * torch.exp(-log_variance))  # (B, K, ...)
        first = target["timesteps"].to(nats.device) == 0  # (B,)
        if self.bin is not None and first.any():
            nats[first] = _surprise(x0[first], guess[first], log_variance[first], self.bin, scale)  # its mean is x0's
        return nats / math.log(2)  # (B, K, ...)

    def _at(self, timesteps: Tensor, like: Tensor) -> Tensor:
        """(B,) -> (3, B, 1, ...), in the type and on the device of `like`."""
        steps = self.steps.to(like.dtype).to(like.device)  # (3, T)
        return steps.index_select(1, timesteps.to(like.device)).reshape(3, -1, *[1] * (like.ndim - 1))


def _steps(schedule: NoiseSchedule) -> Tensor:
    """Of every step t -> t - 1: how x0 enters its mean (Ho et al. 2020, eq. 7), and both bounds of its log variance."""
    betas, abar = schedule.betas, schedule.alphas_cumprod  # (T,) twice, float64
    before = torch.cat([abar.new_ones(1), abar[:-1]])  # (T,)
    slope = before.sqrt() * betas / (1 - abar)  # (T,)
    posterior = betas * (1 - before) / (1 - abar)  # (T,), 0 at t = 0
    posterior[0] = posterior[1]  # as the paper's authors do; else it has no logarithm
    return torch.stack([slope, posterior.log(), betas.log()])  # (3, T)


def _surprise(x0: Tensor, mean: Tensor, log_variance: Tensor, width: float, scale: float) -> Tensor:
    """-log of what a normal distribution has in the bin around x0; the outer bins are open (Ho et al. 2020, eq. 13)."""
    precision = torch.exp(-0.5 * log_variance)
    low, high = ((x0 + side * width / 2 - mean) * precision for side in (-1, 1))  # in standard deviations
    low = torch.where(x0 < -scale + width / 2, -FAR, low)
    high = torch.where(x0 > scale - width / 2, FAR, high)
    mirrored = low + high > 0  # both tails by the lower one, whose logarithm is exact
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    outer, inner = log_ndtr(low), log_ndtr(high)
    return -inner - torch.log(-torch.expm1((outer - inner).clamp(max=-1e-6)))
