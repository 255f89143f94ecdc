"""Prior-supervision network of PGDiffSeg (section 3.4, figure 5, equations 7 to 10).

It learns, from the image alone, whether there is a lesion (classification) and where (a coarse map); its last features
then guide the diffusion network as a prior.

Legend: B batch, C_i channels of level i (C_0 = base), H W size of the image, n levels.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn


class PriorSupervision(nn.Module):
    """Stem, one supervised unit per level, classifier on the last unit, localiser on the unit before it.

    Args:
        in_channels: of the image.
        widths:      C_0 .. C_n; unit i goes from C_{i-1} to C_i with stride 2, n >= 2.
        classes:     logits of the classifier: 1 for lesion present or not (equation 7), or the number of exclusive
                     classes (3 in the authors' code for BUSI: normal, benign, malignant).
        depth:       "paper" (two convolutions per unit, figure 5) or "released" (four, and one more stage of four
                     without stride after the stem, as in the authors' code).

    Raises:
        ValueError: where `depth` is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        classes: int = 1,
        depth: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        if depth not in ("paper", "released"):
            raise ValueError(f"depth of the prior is 'paper' or 'released', found {depth!r}.")
        convolutions = 2 if depth == "paper" else 4
        self.stem = _conv_norm_relu(in_channels, widths[0], stride=1)
        if depth == "released":
            self.stem.extend(_unit(widths[0], widths[0], convolutions, stride=1))
        self.units = nn.ModuleList(
            _unit(before, after, convolutions, stride=2) for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.classifier = nn.Linear(widths[-1], classes)
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
        """(B, in_channels, H, W) -> the last unit's map and the logits of both heads.

        Returns:
            `features` (B, C_n, H/2^n, W/2^n), `classification` (B, classes) and `location` (B, 1, H/2^(n-1), ...).
        """
        *_, penultimate, last = self.features(image)
        classification = self.classifier(last.mean(dim=(2, 3)))  # (B, classes)
        return {"features": last, "classification": classification, "location": self.localiser(penultimate)}


def _unit(in_channels: int, channels: int, convolutions: int, stride: int) -> nn.Sequential:
    """Supervised unit: the first convolution has the stride."""
    rest = [_conv_norm_relu(channels, channels, stride=1) for _ in range(convolutions - 1)]
    return nn.Sequential(_conv_norm_relu(in_channels, channels, stride), *rest)


def _conv_norm_relu(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Conv3x3 -> BatchNorm -> ReLU. The image alone enters, so no timesteps mix in the statistics."""
    convolution = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())
