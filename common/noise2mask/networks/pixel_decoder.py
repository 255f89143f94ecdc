"""The small decoder that says how much of a mask stands in diffusion features (DiffusionDCI, section IV-C).

Its shape is that of the work on which the paper's probe builds (D. Baranchuk et al., "Label-efficient semantic
segmentation with diffusion models", ICLR 2022): at each pixel a perceptron of two hidden layers.

Legend: B batch, C channels of the features, s their size, K classes, H W size of the mask.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import interpolate

HIDDEN = (128, 32)


class PixelDecoder(nn.Module):
    """C -> 128 -> ReLU -> BN -> 32 -> ReLU -> BN -> K, of features brought to the mask's size.

    Args:
        channels:     C.
        out_channels: K.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        wide, narrow = HIDDEN
        self.first = nn.Conv2d(channels, wide, 1)
        hidden = [nn.ReLU(), nn.BatchNorm2d(wide), nn.Conv2d(wide, narrow, 1), nn.ReLU(), nn.BatchNorm2d(narrow)]
        self.rest = nn.Sequential(*hidden, nn.Conv2d(narrow, out_channels, 1))

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """(B, C, *s) -> logits (B, K, H, W)."""
        h = self.first(features)  # (B, 128, *s): before the interpolation, with which a 1x1 convolution changes places
        h = interpolate(h, tuple(size), mode="bilinear", align_corners=False)  # (B, 128, H, W)
        return cast(Tensor, self.rest(h))  # (B, K, H, W)
