"""Dynamic conditional encoding of MedSegDiff (section II-A, equation 3): the noisy mask gates the image.

Legend: B images, N samples of each, M = B * N, C channels, H W D size.
"""

from typing import Literal

from torch import Tensor, nn

from ..names import check_name
from .norm import ChannelNorm

Gate = Literal["tanh", "exact", "residual"]
GATES = ("tanh", "exact", "residual")


class DynamicEncoding(nn.Module):
    """A(m_I, m_x), element by element.

    Args:
        channels: C of both feature maps.
        gate:     "exact" is equation 3 as printed, (LN(m_I) * LN(m_x)) * m_I; "residual" adds m_I to it; "tanh" is
                  m_I * (1 + tanh(LN(m_I) * LN(m_x))).

    Raises:
        ValueError: where the gate is unknown.
    """

    def __init__(self, channels: int, gate: Gate = "tanh") -> None:
        super().__init__()
        check_name("gate", gate, GATES)
        self.gate = gate
        # Deviation: the paper does not say over which axes it normalises; over the channels, any image size will do.
        self.image_norm = ChannelNorm(channels)
        self.mask_norm = ChannelNorm(channels)
        if gate != "exact":  # the gate begins open, whatever the noise; equation 3 would begin closed, and stay so
            nn.init.zeros_(self.mask_norm.weight)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """image (B, C, H, W[, D]) or (M, ...), mask (M, C, H, W[, D]), image-major -> (M, C, H, W[, D])."""
        batch = len(image)
        normed = self.mask_norm(mask).unflatten(0, (batch, -1))  # (B, N, C, H, W[, D])
        affinity = self.image_norm(image)[:, None] * normed  # (B, N, C, H, W[, D])
        image = image[:, None]  # (B, 1, C, H, W[, D])
        if self.gate == "tanh":
            # Deviation: a bounded gate because equation 3 takes its sign from the noise: of one image under two noises
            # its result correlates .10, this one's .53 (docs/explanation/choices.md).
            gated = image * (1 + affinity.tanh())  # (B, N, C, H, W[, D])
        else:
            gated = affinity * image  # (B, N, C, H, W[, D]), equation 3
        return (gated + image if self.gate == "residual" else gated).flatten(0, 1)  # (M, C, H, W[, D])
