"""DSDM behind its reference encoder: conditioned on a mask and an image, as people have them (DiffusionDCI, figure 2).

Both are one network with one file of weights. The encoder is frozen: it is trained before, by itself.

Legend: B images, C image channels, K classes, H W size, h w that of a reference, R width of its embedding.
"""

from typing import Any

from torch import Tensor

from ..diffusion.denoiser import Condition
from .dsdm import DSDM
from .reference_encoder import ReferenceEncoder


class DSDMWithReference(DSDM):
    """DSDM whose references are images.

    Args:
        reference_encoder: frozen, of images with C channels.
        options:           of `DSDM` but for `embedding`, which is the encoder's.

    Raises:
        ValueError: where the encoder is not frozen, or as `DSDM`.
    """

    def __init__(self, reference_encoder: ReferenceEncoder, **options: Any) -> None:
        if not reference_encoder.frozen:
            raise ValueError("The reference encoder would be trained with DSDM: give it frozen=True.")
        super().__init__(embedding=reference_encoder.project.out_features, **options)
        self.reference_encoder = reference_encoder

    def encode(self, mask: Tensor | None = None, reference: Tensor | None = None) -> Condition:
        """As `DSDM.encode`, of an image.

        Args:
            mask:      one-hot (B, K, H, W), all zero for none.
            reference: (B, C, h, w) in [-1, 1], all zero for none, or None for none at all.

        Raises:
            ValueError: as there, or where the reference has not C channels.
        """
        return super().encode(mask, None if reference is None else self.embedded(reference))

    def embedded(self, reference: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, R); zeros where the reference is all zero, which no picture of 8 bits is."""
        if reference.ndim != 4 or reference.shape[1] != self.image_channels:
            expected = f"expected (B, {self.image_channels}, h, w): read it as the images"
            raise ValueError(f"The reference has shape {tuple(reference.shape)}, {expected}.")
        there = reference.flatten(1).any(dim=1, keepdim=True)  # (B, 1)
        return self.reference_encoder(reference) * there  # (B, R)
