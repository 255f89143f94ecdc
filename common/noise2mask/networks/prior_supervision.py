"""Prior-supervision network of PGDiffSeg (section 3.4, figure 5, equations 7 to 10).

It learns, from the image alone, whether there is a lesion (classification) and where (a coarse map); its last features
then guide the diffusion network as a prior.

Legend: B batch, C_i channels of level i (C_0 = base), H W size of the image, n levels.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class PriorSupervision(nn.Module):
    """Stem, one supervised unit per level, classifier on the last unit, localiser on the unit before it.

    Args:
        in_channels: of the image.
        widths:      C_0 .. C_n; unit i goes from C_{i-1} to C_i with stride 2, n >= 2.
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = _conv_norm_relu(in_channels, widths[0], stride=1)
        self.units = nn.ModuleList(
            nn.Sequential(_conv_norm_relu(before, after, stride=2), _conv_norm_relu(after, after, stride=1))
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.classifier = nn.Linear(widths[-1], 1)  # one logit: lesion present (equation 7)
        self.localiser = nn.Conv2d(widths[-2], 1, 1, bias=False)

    def features(self, image: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) -> the units' maps, unit i (B, C_i, H/2^i, W/2^i)."""
        x = self.stem(image)  # (B, C_0, H, W)
        maps = []
        for unit in self.units:
            x = unit(x)  # (B, C_i, H/2^i, W/2^i)
            maps.append(x)
        return maps

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, in_channels, H, W) -> logits `classification` (B, 1), `location` (B, 1, H/2^(n-1), ...)."""
        *_, penultimate, last = self.features(image)
        classification = self.classifier(last.mean(dim=(2, 3)))  # (B, 1)
        return {"classification": classification, "location": self.localiser(penultimate)}


def _conv_norm_relu(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Conv3x3 -> BatchNorm -> ReLU. The image alone enters, so no timesteps mix in the statistics."""
    convolution = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())
