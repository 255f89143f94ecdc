"""Random brightness, contrast, saturation and hue of colour images, as stains and lamps change them.

Legend: H W size.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))  # luma and two axes of colour (NTSC 1953)


class RandColourJitterd(RandomizableTransform, MapTransform):
    """Images (3, H, W) in [-1, 1] -> the same, all four changed together with one probability, all keys alike.

    Args:
        keys:       of images.
        prob:       of a change; the paper has 0.8.
        brightness: most by which a factor of all values differs from 1.
        contrast:   of the distances from the image's mean grey.
        saturation: of the distances from each pixel's grey.
        hue:        most turns of the colour circle, 0 to 0.5.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.8,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.05,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.most = (brightness, contrast, saturation, hue)

    def randomize(self, data: Any = None) -> None:
        """Draw whether, and by how much."""
        super().randomize(None)
        self.drawn = [float(self.R.uniform(-most, most)) for most in self.most]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change the keys.

        Raises:
            ValueError: where an image has not three channels.
        """
        self.randomize()
        if not self._do_transform:
            return dict(data)
        return {**data, **{key: jittered(data[key], *self.drawn) for key in self.key_iterator(data)}}


def jittered(image: Tensor, brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    """(3, H, W) in [-1, 1] -> the same: the first three add to factors of 1, the last is in turns."""
    if len(image) != 3:
        raise ValueError(f"The image has {len(image)} channels, expected red, green and blue: set jitter to 0.")
    x = (image + 1) / 2 * (1 + brightness)  # (3, H, W)
    mean = _grey(x).mean()
    x = mean + (x - mean) * (1 + contrast)  # (3, H, W)
    grey = _grey(x)  # (1, H, W)
    x = grey + (x - grey) * (1 + saturation)  # (3, H, W)
    x = torch.einsum("ij,jhw->ihw", _rotation(hue).to(x), x)  # (3, H, W)
    return (2 * x - 1).clamp(-1, 1)


def _grey(x: Tensor) -> Tensor:
    """(3, H, W) -> (1, H, W)."""
    return torch.einsum("j,jhw->hw", x.new_tensor(LUMA), x)[None]


def _rotation(turns: float) -> Tensor:
    """Colour by an angle around grey, whose luma stays: (3, 3) for red, green and blue."""
    cos, sin = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    yiq = torch.tensor(YIQ, dtype=torch.float64)
    turned = torch.tensor([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], dtype=torch.float64)
    return torch.linalg.inv(yiq) @ turned @ yiq
