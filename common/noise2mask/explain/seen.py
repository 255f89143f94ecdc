"""A case as the network sees it, ready to be looked into: image, a picture of it, and its label at the same size.

Legend: C channels, K channels of a label, H W D size of the network's input; a volume is shown by one slice.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import Dataset, MetaTensor
from monai.transforms import ResampleToMatch
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.item_paths import name_of
from ..data.structures import label_map, without_background
from ..diffusion.denoiser import Denoiser
from ..diffusion.fusion import harden
from ..diffusion.inferer import EnsembleInferer
from ..meta import without_meta
from .case_file import UNLABELLED, case_names
from .strip import pixel_of


class Seen(NamedTuple):
    """One case."""

    name: str  # of its file, without ending
    image: Tensor  # (1, C, H, W), or the whole volume (1, C, H, W, D) for a network of three dimensions
    picture: np.ndarray  # (H, W) or, in red, green and blue, (H, W, 3), in [0, 1]
    label: np.ndarray | None  # (H, W) uint8, numbers of structures; `UNLABELLED` where nobody said what this is
    found: np.ndarray  # (H, W) uint8, the first sample's mask in numbers of structures
    slice: int | None  # which one of a volume is shown, as the network counts them
    pixel: float = 1.0  # height of a pixel over its width
    stride: int = 1  # of the network, see `Denoiser`

    @property
    def where(self) -> str:
        """For the title of a figure."""
        return "" if self.slice is None else f", slice {self.slice}"

    def shown(self, maps: Tensor) -> np.ndarray:
        """What is shown of this image's maps, which may be of any level of the network: (h, w) of each.

        Args:
            maps: (..., h, w[, d]), of the image or of its padded form.

        Returns:
            (..., h, w); where the network pads rows or columns, at the picture's size, without what lies over padding.
        """
        own = maps.detach().float().cpu()
        if self.slice is not None and self.image.ndim == 5:
            own = own[..., self.slice * own.shape[-1] // self._reach(4, own.shape[-1])]  # (..., h, w)
        rows, columns = (self._reach(axis, own.shape[axis - 4]) for axis in (2, 3))
        size = self.picture.shape[:2]
        if tuple(own.shape[-2:]) == size or (rows, columns) == size:
            return own.numpy()
        wide = interpolate(own.reshape(1, -1, *own.shape[-2:]), (rows, columns), mode="bilinear")
        return wide.reshape(*own.shape[:-2], rows, columns)[..., : size[0], : size[1]].numpy()

    def _reach(self, axis: int, length: int) -> int:
        """Over how many pixels of the image along an axis a map of this length reaches, padding included."""
        size = self.image.shape[axis]
        return size if length == size else -(-size // self.stride) * self.stride

    @property
    def lesion(self) -> np.ndarray:
        """Where any structure is, (H, W) bool: by the label where there is one, else by the sample."""
        return self.found > 0 if self.label is None else (self.label > 0) & (self.label != UNLABELLED)


def seen_cases(dataset: Dataset, network: Denoiser, inferer: EnsembleInferer, device: torch.device) -> Iterator[Seen]:
    """The cases of a data set with `image` (preprocessed) and, where there is one, `label` at its own size.

    Of a volume that slice is shown which has most of the label or, without one, of the first sample's mask.
    """
    one, names = inferer.changed(samples=1), names_of(dataset.data)
    for i in range(len(dataset)):
        item = dataset[i]
        image = without_meta(item["image"])[None].to(device)  # (1, C, H, W[, D])
        hard = harden(one.sample(image, network), inferer.exclusive)[0, 0]  # (K, H, W[, D])
        found = label_map(without_background(hard, inferer.exclusive)).cpu()  # (H, W[, D])
        label = seen_label(item["label"], item["image"], inferer.exclusive) if "label" in item else None
        name = names[item["image"].meta["filename_or_obj"]]
        rows, columns = torch.linalg.norm(item["image"].affine[:3, :2].double(), dim=0).tolist()
        seen = _seen(name, image, label, found, network.spatial_dims)
        yield seen._replace(pixel=pixel_of([rows, columns]), stride=network.stride)


def _seen(name: str, image: Tensor, label: Tensor | None, found: Tensor, spatial_dims: int) -> Seen:
    """Image (1, C, H, W[, D]), label and found mask (H, W[, D])."""
    number = None
    if image.ndim == 5:
        lesion = found if label is None else label * (label != UNLABELLED)
        number = int((lesion > 0).sum(dim=(0, 1)).argmax())
        label, found = None if label is None else label[..., number], found[..., number]
    slice_ = image[0] if number is None else image[0, ..., number]  # (C, H, W)
    picture = (slice_[:3] if len(slice_) == 3 else slice_[:1]).cpu().clamp(-1, 1).add(1).div(2)  # (1 or 3, H, W)
    whole = image if number is None or spatial_dims == 3 else slice_[None]
    drawn = picture[0] if len(picture) == 1 else picture.movedim(0, -1)
    return Seen(name, whole, drawn.numpy(), None if label is None else label.numpy(), found.numpy(), number)


def seen_label(label: MetaTensor, image: MetaTensor, exclusive: bool) -> Tensor:
    """A label at its own size as a map of numbers at that of the image that the network is given.

    Args:
        label:     (K, ...) in {0, 1} with the place of its file; of exclusive classes the background's first.
        image:     (C, H, W[, D]), preprocessed.
        exclusive: classes exclude one another: a pixel of none is `UNLABELLED`.

    Returns:
        (H, W[, D]) uint8 on the CPU.
    """
    numbers = numbers_of(label, exclusive)[None]  # (1, ...): one channel is resampled, not K
    placed = MetaTensor(numbers.float(), meta=label.meta)
    matched = ResampleToMatch(mode="nearest", padding_mode="zeros")(placed, image)
    return without_meta(matched)[0].round().to(torch.uint8).cpu()  # (H, W[, D])


def numbers_of(label: Tensor, exclusive: bool) -> Tensor:
    """(K, ...) in {0, 1} -> (...) uint8, numbers of structures; of exclusive classes `UNLABELLED` where none is."""
    plain = without_meta(label)
    numbers = label_map(without_background(plain, exclusive))  # (...)
    return torch.where(plain.bool().any(dim=0), numbers, UNLABELLED).to(torch.uint8) if exclusive else numbers


def names_of(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What files of each image are called, by its path as MONAI writes it in the meta data.

    Args:
        items: of a data set, with the path of an `image`, or the image itself as it was loaded.
    """
    return case_names([_path(item) for item in items])


def _path(item: Mapping[str, Any]) -> str:
    image = item["image"]
    if isinstance(image, MetaTensor):
        return str(image.meta["filename_or_obj"])
    return str(Path(name_of(item)).expanduser())
