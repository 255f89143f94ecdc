"""Maps of the network's size, brought back to the size and geometry of the image they belong to."""

from collections.abc import Mapping
from typing import Any

from monai.data import MetaTensor
from monai.transforms import Invertd, InvertibleTransform
from torch import Tensor

from ..meta import without_meta


class OwnSize:
    """Inverts the preprocessing of an image for any maps of it.

    Args:
        preprocessing: what the image went through, whose spatial transforms are invertible.
    """

    def __init__(self, preprocessing: InvertibleTransform) -> None:
        self.invert = Invertd("map", preprocessing, orig_keys="image", nearest_interp=False)

    def __call__(self, item: Mapping[str, Any], maps: Tensor) -> Tensor:
        """Maps (M, h, w[, D]) of `item["image"]` (C, h, w[, D]) -> (M, ...) in the axes of the image's file."""
        image = item["image"]
        carried = MetaTensor(maps, meta=image.meta, applied_operations=image.applied_operations)
        return without_meta(self.invert({"image": image, "map": carried})["map"])
