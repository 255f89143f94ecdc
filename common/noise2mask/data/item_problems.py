"""What can be wrong with one image and its masks: each in a sentence that names the file and a remedy.

Legend: F mask files, C channels, S structures, ... spatial axes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor

from ..transforms.binary_mask import wrong_values
from .item_paths import name_of, paths_of
from .reader import GreyReader, MaskReader, is_picture, same_place
from .structures import Structures, masks_of, overlapping, values_of
from .window import constant

Crop = Callable[[dict[str, Any]], Any]  # such as `CropDiscd`


class Expected(NamedTuple):
    """How the files of an item are read, and what they must hold."""

    reader: GreyReader  # of the image
    in_channels: int | None = None  # of the image; None: any number
    foreground: Sequence[float] | None = None  # see `BinaryMaskd`
    background: Sequence[float] = ()
    crop: Sequence[Crop] = ()  # of image and mask, tried on them
    spatial_dims: int = 2  # of the network: 2 takes pictures and volumes, 3 volumes
    structures: Structures | None = None  # see `StructureMasksd`; None: one, the foreground
    exclusive: bool = False

    @property
    def masks_reader(self) -> MaskReader:
        """Of the masks, at the same phase as the image."""
        return MaskReader(self.reader.phase)

    @property
    def values(self) -> Sequence[float] | None:
        """Of masks, that stand for something."""
        return self.foreground if self.structures is None else values_of(self.structures)

    @property
    def setting(self) -> str:
        """Where in the config these values stand."""
        return "foreground" if self.structures is None else "structures"

    @property
    def chosen(self) -> Structures:
        """What is told by its values, by name; nothing where masks are binary."""
        if self.structures is None:
            return {} if self.foreground is None else {"the foreground": self.foreground}
        return self.structures


def problems_of(item: Mapping[str, Any], expected: Expected) -> Iterator[str]:
    """Everything that is wrong with one image and its mask."""
    name = name_of(item)
    try:
        image, image_meta = expected.reader.channels(item["image"])  # (C, ...)
    except ValueError as error:
        yield str(error)
        return
    yield from _image_problems(item, image, expected.in_channels)
    if problem := axes_problem(name, image.ndim - 1, expected.spatial_dims):
        yield problem
    if "label" not in item:
        yield f"{name} has no mask; expected one, of zeros where there is no lesion: add or remove it."
        return
    labels = paths_of(item["label"])
    try:
        masks, mask_meta = expected.masks_reader.channels(item["label"])  # (F, ...), a file each
    except ValueError as error:
        yield str(error)
        return
    shape = image.shape[1:]
    if masks.shape[1:] != shape:
        yield f"{labels[0]} has size {masks.shape[1:]}, but {name} has {shape}; expected the same: replace one."
    elif not is_picture(name) and not same_place(image_meta["affine"], mask_meta["affine"]):
        yield f"{labels[0]} has another position, spacing or orientation than {name}: resample the mask."
    for path, one in zip(labels, masks, strict=True):
        yield from _value_problems(path, one, expected)
    yield from _overlap_problems(labels, masks, expected)
    for path in item.get("annotations", []):
        yield from _annotation_problems(str(path), name, shape, expected)
    if masks.shape[1:] == shape and image.min() < image.max():
        yield from crop_problems(item, expected.crop, image=image, label=masks)


def image_problems(item: Mapping[str, Any], expected: Expected) -> Iterator[str]:
    """Everything that is wrong with an image whose mask is not used."""
    try:
        image, _ = expected.reader.channels(item["image"])  # (C, ...)
    except ValueError as error:
        yield str(error)
        return
    yield from _image_problems(item, image, expected.in_channels)


def _image_problems(item: Mapping[str, Any], image: np.ndarray, in_channels: int | None) -> Iterator[str]:
    """Another number of channels (C, ...) than the network takes, and files of a single value."""
    paths = paths_of(item["image"])
    if problem := channel_problem(item, len(image), in_channels):
        yield problem
    for path, own in zip(paths, np.split(image, len(paths)), strict=True):  # a picture in colour has three channels
        if found := constant(own):
            yield f"{path} {found}: remove or replace it."


def channel_problem(item: Mapping[str, Any], channels: int, in_channels: int | None) -> str | None:
    """Whether an image has another number of channels than the network takes."""
    if in_channels in (None, channels):
        return None
    found = f"{name_of(item)} has {channels} channels, of {len(paths_of(item['image']))} files"
    remedy = "list every modality of the case, take the reader that fits (GreyReader 1, ColourReader 3 channels a file)"
    return f"{found}; expected {in_channels}, the network's in_channels: {remedy}, or change in_channels."


def axes_problem(name: str, axes: int, spatial_dims: int) -> str | None:
    """Whether an image has fewer axes than the network takes."""
    if axes >= spatial_dims:
        return None
    return f"{name} is a picture; expected a volume, for spatial_dims 3: take volumes, or spatial_dims 2."


def crop_problems(item: Mapping[str, Any], crop: Sequence[Crop], **values: np.ndarray) -> Iterator[str]:
    """Why the arrays (C, ...) of an item's `image`, and `label`, can not be cropped."""
    data = {key: MetaTensor(own, meta={"filename_or_obj": paths_of(item[key])[0]}) for key, own in values.items()}
    for one in crop:
        try:
            one(data)
        except ValueError as error:
            yield str(error)


def _value_problems(path: str, mask: np.ndarray, expected: Expected) -> Iterator[str]:
    """Wrong values of one mask file."""
    if wrong := wrong_values(torch.from_numpy(mask), expected.values, expected.background, expected.setting):
        yield f"{path} {wrong}"


def _overlap_problems(paths: Sequence[str], masks: np.ndarray, expected: Expected) -> Iterator[str]:
    """Exclusive structures that share pixels of mask files (F, ...): in one file they can not."""
    if expected.structures is None or not expected.exclusive or len(masks) == 1:
        return
    found = masks_of(torch.from_numpy(masks), expected.structures)  # (S, ...)
    if both := overlapping(found, expected.structures):
        yield f"{', '.join(paths)}: {both} share pixels; expected exclusive structures: correct the files."


def _annotation_problems(path: str, image: str, shape: tuple[int, ...], expected: Expected) -> Iterator[str]:
    """What is wrong with one annotator's mask."""
    try:
        mask, _ = expected.masks_reader.get_data([path])
    except ValueError as error:
        yield str(error)
        return
    if mask.shape != shape:
        yield f"{path} has size {mask.shape}, but {image} has {shape}; expected the same: replace one."
    yield from _value_problems(path, mask, expected)
