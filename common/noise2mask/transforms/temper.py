"""Probabilities that mean what they say, at the image's own size, where masks have been decided: MONAI transform."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..diffusion.inferer import EnsembleInferer


class Temperd(MapTransform):
    """Scales the logits of probabilities (K, *S) by the temperature of the inferer that made them.

    It comes after resizing, since what is resized and then compared with 0.5 is another mask.

    Args:
        keys:    of the probabilities.
        inferer: an `EnsembleInferer`, which knows the temperature and whether classes exclude one another.
    """

    def __init__(self, keys: KeysCollection, inferer: EnsembleInferer) -> None:
        super().__init__(keys)
        self.inferer = inferer

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same with other probabilities."""
        return {**data, **{key: self.inferer.tempered(data[key]) for key in self.key_iterator(data)}}
