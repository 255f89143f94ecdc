"""Resizes rows and columns; the number of slices of a volume stays.

MONAI's `Resize` smooths with zeros beyond the border before it makes an image smaller, which pulls the border towards
zero (a constant 1 becomes 0.76 in the corners, 500 -> 64, MONAI 1.6.1); torch's antialiasing does not.

Legend: C channels, H W size before, h w after, D slices.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from torch import Tensor
from torch.nn.functional import interpolate

from ..names import check_name
from .geometry import moved, place_of, put_back

MODES = ("bilinear", "nearest")


class ResizeSlices(InvertibleTransform):
    """(C, H, W) -> (C, h, w), (C, H, W, D) -> (C, h, w, D).

    Args:
        spatial_size: (h, w).
        mode:         "bilinear", with antialiasing where it gets smaller, or "nearest".

    Raises:
        ValueError: where the mode is neither.
    """

    def __init__(self, spatial_size: Sequence[int], mode: str = "bilinear") -> None:
        check_name("mode", mode, MODES)
        self.spatial_size = tuple(spatial_size)
        self.mode = mode

    def __call__(self, image: MetaTensor) -> Tensor:
        """Resize; size and place before are remembered."""
        resized = self._resize(image, self.spatial_size)
        rows, columns = (before / after for before, after in zip(image.shape[1:3], self.spatial_size, strict=True))
        moved(resized, [[rows, 0], [0, columns]], [(rows - 1) / 2, (columns - 1) / 2])
        self.push_transform(resized, orig_size=tuple(image.shape[1:3]), extra_info=place_of(image))
        return resized

    def inverse(self, data: MetaTensor) -> Tensor:
        """Back to the size before."""
        done = self.pop_transform(data)
        return put_back(self._resize(data, done["orig_size"]), done["extra_info"])

    def _resize(self, image: Tensor, size: Sequence[int]) -> Tensor:
        """Every slice by itself."""
        options: dict[str, Any] = {} if self.mode == "nearest" else {"align_corners": False, "antialias": True}
        mode = "nearest-exact" if self.mode == "nearest" else self.mode
        slices = image[None] if image.ndim == 3 else image.movedim(3, 0)  # (D, C, H, W)
        resized = interpolate(slices, size, mode=mode, **options)  # (D, C, h, w)
        # Positive weights can not lead outside, but their rounding does: 1 becomes 1.0000002, which is no probability.
        resized = resized.clamp(slices.amin((2, 3), keepdim=True), slices.amax((2, 3), keepdim=True))
        return resized[0] if image.ndim == 3 else resized.movedim(0, 3).contiguous()  # (C, h, w[, D])


class ResizeSlicesd(MapTransform, InvertibleTransform):
    """`ResizeSlices` of every key.

    Args:
        keys:         of images and masks.
        spatial_size: (h, w).
        mode:         one for all keys, or one per key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: Sequence[int],
        mode: str | Sequence[str] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        modes = [mode] * len(self.keys) if isinstance(mode, str) else mode
        self.resize = {key: ResizeSlices(spatial_size, mode) for key, mode in zip(self.keys, modes, strict=True)}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resize the keys."""
        return {**data, **{key: self.resize[key](data[key]) for key in self.key_iterator(data)}}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Back to the size before."""
        return {**data, **{key: self.resize[key].inverse(data[key]) for key in self.key_iterator(data)}}
