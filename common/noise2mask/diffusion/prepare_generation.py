"""From a batch of images, masks and references to one training step of DSDM.

Here it is the image that is noised, and the mask is what the network sees: the roles of `PrepareDiffusion` exchanged.

Legend: B batch, C image channels, K classes, H W size, h w that of references, T trained timesteps.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .condition_dropout import ConditionDropout
from .noise_schedule import NoiseSchedule
from .prepare_batch import PrepareDiffusion, plain


class PrepareGeneration(PrepareDiffusion):
    """`prepare_batch` of a MONAI trainer, or of the evaluator that validates its network.

    Args:
        noise_schedule: T timesteps, drawn uniformly.
        dropout:        of conditions; None drops none.
        seed:           of an evaluator: the noise is the same for every batch, and timesteps lie evenly in 0 .. T - 1,
            so that two networks are judged by the same; None draws both.
        target:         "epsilon", "x0" or "v".
    """

    def __init__(
        self,
        noise_schedule: NoiseSchedule,
        dropout: ConditionDropout | None = None,
        seed: int | None = None,
        target: str = "epsilon",
    ) -> None:
        super().__init__(noise_schedule, target, mask_scale=1.0)
        self.dropout, self.seed = dropout, seed

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor], tuple[()], dict[str, Tensor]]:
        """One step's input, target and arguments.

        Args:
            batch:        `image` (B, C, H, W) in [-1, 1], `label` one-hot (B, K, H, W), `reference` (B, C, h, w).
            device:       where they go.
            non_blocking: as for `Tensor.to`.

        Returns:
            x_t (B, C, H, W); the target of `HybridLoss`, whose `mask` is the image in [0, 1]; `timesteps` (B,),
            `context` (B, K, H, W) and `reference` (B, C, h, w), each zero where it is dropped.
        """
        exchanged = {"image": batch["label"], "label": (batch["image"] + 1) / 2}
        x, target, _, options = super().__call__(exchanged, device, non_blocking)
        mask, reference = options["context"], plain(batch["reference"], device, non_blocking)
        if self.dropout is not None:
            mask, reference = self.dropout(mask, reference)  # (B, K, H, W), (B, C, h, w)
        return x, target, (), {**options, "context": mask, "reference": reference}

    def draw(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As of `PrepareDiffusion`, or what the seed gives: timesteps (B,) and noise (B, C, H, W)."""
        if self.seed is None:
            return super().draw(mask)
        timesteps = (torch.arange(len(mask)) + 0.5) * self.noise_schedule.timesteps / len(mask)  # (B,)
        noise = torch.randn(mask.shape, generator=torch.Generator().manual_seed(self.seed))  # (B, C, H, W)
        return timesteps.long().to(mask.device), noise.to(mask.device)
