"""Turns what was read so that rows are rows, for pictures and for slices of volumes, and turns results back.

Legend: C channels, W H of a picture, X Y Z of a volume, D slices.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Orientation
from torch import Tensor

from .geometry import moved, place_of, put_back


class SliceOrientation(InvertibleTransform):
    """Pictures (C, W, H) -> (C, H, W); volumes (C, X, Y, Z) -> (C, H, W, D) with slices along the last axis.

    Args:
        axcodes: the directions in which rows, columns and slices of a volume increase. "PLS" gives axial slices
            as a viewer shows them: rows to the patient's back, columns to the left, slices upwards. None takes the
            slices as they are stored along the last axis, (C, X, Y, Z) -> (C, Y, X, Z).
    """

    def __init__(self, axcodes: str | None = "PLS") -> None:
        labels = (("L", "R"), ("P", "A"), ("I", "S"))
        self.orientation = None if axcodes is None else Orientation(axcodes=axcodes, labels=labels)

    def __call__(self, image: MetaTensor) -> Tensor:
        """(C, W, H) or (C, X, Y, Z) -> (C, H, W) or (C, H, W, D).

        Raises:
            ValueError: where the image is neither; it names the file.
        """
        if image.ndim == 4 and self.orientation is not None:
            return self.orientation(image)
        if image.ndim not in (3, 4):
            name = image.meta.get("filename_or_obj", "the image")
            raise ValueError(f"{name} has {image.ndim - 1} spatial axes, expected 2 (a picture) or 3 (a volume).")
        turned = image.transpose(1, 2)
        moved(turned, [[0, 1], [1, 0]], [0, 0])
        self.push_transform(turned, extra_info=place_of(image))
        return turned

    def inverse(self, data: Tensor) -> Tensor:
        """The other way."""
        if data.ndim == 4 and self.orientation is not None:
            return self.orientation.inverse(data)
        done = self.pop_transform(data)
        return put_back(data.transpose(1, 2), done["extra_info"])


class SliceOrientationd(MapTransform, InvertibleTransform):
    """`SliceOrientation` of every key."""

    def __init__(self, keys: KeysCollection, axcodes: str | None = "PLS", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = SliceOrientation(axcodes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Turn the keys."""
        return {**data, **{key: self.transform(data[key]) for key in self.key_iterator(data)}}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Turn the keys back."""
        return {**data, **{key: self.transform.inverse(data[key]) for key in self.key_iterator(data)}}
