"""From a batch of images and masks to one training step of a segmenter that sees diffusion features.

Here it is the image that is noised, at one timestep, and the clean image is what the network is given beside it.

Legend: B batch, C image channels, K classes, H W size.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .noise_schedule import NoiseSchedule
from .prepare_batch import PrepareSupervised


class PrepareFeatures:
    """`prepare_batch` of a MONAI trainer.

    Args:
        noise_schedule: of the diffusion model's training.
        timestep:       at which features are taken, 0 .. T - 1.

    Raises:
        ValueError: where the schedule has no such timestep.
    """

    def __init__(self, noise_schedule: NoiseSchedule, timestep: int) -> None:
        check_timestep(timestep, noise_schedule)
        self.noise_schedule, self.timestep = noise_schedule, timestep

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor], tuple[()], dict[str, Tensor]]:
        """One step's input, target and arguments.

        Args:
            batch:        `image` (B, C, H, W) in [-1, 1], `label` one-hot (B, K, H, W).
            device:       where they go.
            non_blocking: as for `Tensor.to`.

        Returns:
            x_t (B, C, H, W); the target, `mask`; `timesteps` (1,) and `context`, the image.
        """
        image, target = PrepareSupervised()(batch, device, non_blocking)
        noise = torch.randn(image.shape).to(image.device)  # on the CPU, so that every device trains on the same
        x = self.noise_schedule.noised(image, noise, self.timestep)  # (B, C, H, W)
        timesteps = torch.tensor([self.timestep], device=image.device)  # (1,)
        return x, target, (), {"timesteps": timesteps, "context": image}


def check_timestep(timestep: int, schedule: NoiseSchedule) -> None:
    """Raise ValueError where the schedule has no such timestep."""
    if not 0 <= timestep < schedule.timesteps:
        expected = f"expected 0 to {schedule.timesteps - 1}, as the diffusion model was trained with"
        raise ValueError(f"timestep is {timestep}, {expected}: change it.")
