"""Classifier-free guidance of DSDM (DiffusionDCI, equation 17; Ho and Salimans 2022, "Classifier-free guidance").

The network predicts the noise twice, with the conditions and without any, and is pushed on from the second to the
first. Guiding x0 or v is the same: of one noisy image both are linear in the noise, and the weights add up to 1.

Legend: B images, N samples of each, M = B * N, C image channels, K classes, H W size.
"""

from typing import Literal

import torch
from torch import Tensor

from ..diffusion.denoiser import Condition, Denoiser
from ..names import check_name
from .dsdm import DSDM

FORMS = ("paper", "w")
NULL = "null."  # begins the names of tensors that belong to no condition


class Guided(Denoiser):
    """DSDM with guidance, to sample with. The encoder, which sees no condition, runs once for both predictions.

    Args:
        network: to be guided; it is trained by itself.
        scale:   s of equation 17; 0 leaves guidance out. In form "w" it is w = s + 1, and 1 leaves it out.
        form:    "paper": eps_c + s (eps_c - eps_null); "w": eps_null + w (eps_c - eps_null).

    Raises:
        ValueError: where the form has another name.
    """

    def __init__(self, network: DSDM, scale: float = 3.0, form: Literal["paper", "w"] = "paper") -> None:
        super().__init__()
        check_name("guidance_form", form, FORMS)
        self.network = network
        self.push = scale if form == "paper" else scale - 1

    def encode(self, mask: Tensor | None = None, reference: Tensor | None = None) -> Condition:
        """As `DSDM.encode`, and the same of no condition, its names begun by "null."."""
        own = self.network.encode(mask, reference)
        return own.extended({NULL + name: made for name, made in self.network.encode().items()})

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """One guided evaluation; arguments as `DSDM.denoise` -> (M, 2C, H, W).

        Raises:
            ValueError: as there, or in train mode.
        """
        if self.training:
            raise ValueError("Guidance is for sampling, found train mode: train the network that is guided.")
        condition.samples_of(x, self.training)
        encoded = self.network.encoded(x, timesteps)
        own = self.network.decode(encoded, condition)  # (M, 2C, H, W)
        if not self.push:
            return own
        null = {name.removeprefix(NULL): made for name, made in condition.items() if name.startswith(NULL)}
        return guided(own, self.network.decode(encoded, null), self.push)  # (M, 2C, H, W)

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor | None = None, reference: Tensor | None = None
    ) -> Tensor:
        """x (M, C, H, W), timesteps, mask (B, K, H, W) and reference (B, R) or None -> as `denoise`."""
        return self.denoise(x, timesteps, self.encode(context, reference))


def guided(own: Tensor, null: Tensor, push: float) -> Tensor:
    """eps_c + s (eps_c - eps_null) (equation 17); the variance is that of the conditions: (M, 2C, H, W) each."""
    noise, variance = own.chunk(2, dim=1)  # (M, C, H, W) twice
    away = noise - null.chunk(2, dim=1)[0]  # (M, C, H, W)
    return torch.cat([noise + push * away, variance], dim=1)  # (M, 2C, H, W)
