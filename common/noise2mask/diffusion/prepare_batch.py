"""From a batch of images and masks to one training step of the diffusion.

Legend: B batch, C image channels, K classes, H W size, for volumes H W D, T trained timesteps.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..meta import without_meta
from .noise_schedule import NoiseSchedule
from .target import check_kind, to_target


class PrepareDiffusion:
    """`prepare_batch` of a MONAI trainer: noises the mask and gives the network what it is to predict.

    Args:
        noise_schedule: T timesteps.
        target:         "epsilon", "x0" or "v".
        mask_scale:     clean masks live on +-mask_scale.
        timestep_power: timesteps are drawn as T u^(1 / timestep_power), u uniform in [0, 1). 1 draws all alike, as the
                        papers do; 3 draws two thirds of them from the noisiest 31 %, in which not even a large mask
                        shows through the noise, so that it must come from the image.

    Raises:
        ValueError: where the target is unknown, or `timestep_power` is not above 0.
    """

    def __init__(
        self, noise_schedule: NoiseSchedule, target: str = "x0", mask_scale: float = 0.3, timestep_power: float = 1.0
    ) -> None:
        check_kind(target)
        if not timestep_power > 0:
            raise ValueError(f"timestep_power is {timestep_power}, expected more than 0: 1 draws all timesteps alike.")
        self.timestep_power = timestep_power
        self.noise_schedule = noise_schedule
        self.target = target
        self.mask_scale = mask_scale

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor], tuple[()], dict[str, Tensor]]:
        """One step's input, target and arguments.

        Args:
            batch:        `image` (B, C, H, W), `label` (B, K, H, W) in {0, 1} and, where data have it, `class` (B,).
            device:       where they go.
            non_blocking: as for `Tensor.to`.

        Returns:
            x_t (B, K, H, W); the target: `prediction` (B, K, H, W) beside what it follows from, `mask`, `noisy`,
            `alpha`, `sigma`, `timesteps` (B,), and `class`; `timesteps` (B,) and `context` (B, C, H, W).
        """
        image, supervision = PrepareSupervised()(batch, device, non_blocking)
        mask = supervision["mask"]  # (B, K, H, W)
        timesteps, noise = self.draw(mask)
        x0 = self.mask_scale * (2 * mask - 1)  # (B, K, H, W)
        alpha, sigma = self.noise_schedule.gather(timesteps, like=x0)  # (B, 1, ...) twice
        x = alpha * x0 + sigma * noise  # (B, K, H, W)
        prediction = to_target(self.target, x0, noise, alpha, sigma)  # (B, K, H, W)
        known = {"noisy": x, "alpha": alpha, "sigma": sigma, "timesteps": timesteps, **supervision}
        return x, {"prediction": prediction, **known}, (), {"timesteps": timesteps, "context": image}

    def draw(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The only random numbers of a step: timesteps (B,) in 0 .. T - 1 and noise (B, K, H, W).

        Drawn on the CPU, so that every device trains on the same noise.
        """
        count = self.noise_schedule.timesteps
        if self.timestep_power == 1:  # apart, so that a seed gives the numbers that it always gave
            timesteps = torch.randint(0, count, (len(mask),))
        else:
            drawn = torch.rand(len(mask)) ** (1 / self.timestep_power)  # in [0, 1], 1 by rounding
            timesteps = (count * drawn).long().clamp(max=count - 1)
        return timesteps.to(mask.device), torch.randn(mask.shape).to(mask.device)


class PrepareSupervised:
    """`prepare_batch` of the prior phase: the image, and what is known of it, without MONAI's meta data."""

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's input (B, C, H, W), and `mask` (B, K, H, W) with, where the data have it, `class` (B,)."""
        image, mask = (plain(batch[key], device, non_blocking) for key in ("image", "label"))
        known = {"mask": mask}
        if "class" in batch:
            known["class"] = batch["class"].to(device)
        return image, known


def plain(tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
    """As float32 on the device, without MONAI's meta data."""
    return without_meta(tensor).to(device=device, dtype=torch.float32, non_blocking=non_blocking)
