"""Looks at all images and masks before anything is trained, and says everything that is wrong with them at once."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from monai.transforms import Compose

from ..diffusion.denoiser import Denoiser
from ..diffusion.target import check_mask_scale
from ..files import Lock, check_writable
from .copies import copies
from .item_paths import name_of, paths_of
from .item_problems import Crop, Expected, image_problems, problems_of
from .memory import warn_of_memory
from .problems import refuse
from .reader import GreyReader
from .splits import torn_patients
from .structures import Structures, check_structures, is_any_of
from .window import check_window, constant, outside_window

logger = logging.getLogger(__name__)


def check_before_training(
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    network: Denoiser | None,
    image_size: Sequence[int],
    intensity_range: Sequence[float],
    output_dir: str | Path,
    reader: GreyReader | None = None,
    in_channels: int = 1,
    foreground: Sequence[float] | None = None,
    background: Sequence[float] = (),
    per_volume: bool = False,
    z_score: bool = False,
    mask_scale: float = 1.0,
    crops: Mapping[str, Sequence[Crop]] | None = None,
    counts: Mapping[str, int] | None = None,
    structures: Structures | None = None,
    exclusive: bool = True,
    neighbours: int = 0,
    transform: Compose | None = None,
    condition_channels: int | None = None,
) -> Lock | None:
    """Stop before anything is trained or written, if something is wrong.

    Args:
        training:        items of a datalist, which may list a file several times.
        validation:      the same.
        network:         to be trained; it must take images of this size, and says how many classes items have. None: it
            is not made yet, and will take any size.
        image_size:      rows, columns and, of a network of three dimensions, slices.
        intensity_range: grey values that become -1 and +1.
        output_dir:      where the run will write.
        reader:          that the images are read with; None: a `GreyReader`.
        in_channels:     of the images, which the network takes.
        foreground:      values of the masks that are segmented, as for `BinaryMaskd`.
        background:      their other values.
        per_volume:      grey values are first scaled file by file, whatever they are.
        z_score:         each channel first gets mean 0 and deviation 1, of which `intensity_range` is the window.
        mask_scale:      clean masks will live on +-mask_scale.
        crops:           crops of image and mask, such as `CropDiscd`, of "training" and "validation".
        counts:          settings, by their names, that are whole numbers from 1 up, such as epochs.
        structures:      of masks with several, as for `StructureMasksd`; None: masks have one.
        exclusive:       see there.
        neighbours:      slices on either side that the network sees as well, see `NeighbourSlicesd`.
        transform:       of the training's `SliceDataset`, which tells the memory that it will take; None: do not ask.
        condition_channels: of what the network encodes; None: of images with their neighbours.

    Returns:
        What keeps other processes out of `output_dir` as long as it is kept; None on other ranks than the first.

    Raises:
        ValueError: it names every file, what was found, what was expected and what to do: an image or mask that is
            missing or can not be read, sizes or geometry that differ, another number of channels or axes, a file of a
            single value, mask values that are not binary or of no structure, exclusive structures that share a pixel, a
            structure in no mask, a picture that can not be cropped, a class that is missing, a patient or a file in
            both lists; before that, a size that the network does not take, a range that is empty or none of z-scores,
            masks without a scale, no epochs, a folder that can not be written to; at last, one in which another process
            works.
    """
    check_writable(output_dir)
    check_mask_scale(mask_scale)
    _check_counts(counts or {})
    check_window(intensity_range, z_score)
    if network is not None:
        _check_settings(network, condition_channels or in_channels * (2 * neighbours + 1), image_size)
    spatial_dims, classes = (2, 1) if network is None else (network.spatial_dims, network.item_classes)
    masks = (foreground, background, structures, exclusive)
    expected = _expected(reader, in_channels, spatial_dims, *masks)
    sections = {"training": training, "validation": validation}
    cropped = {key: expected._replace(crop=(crops or {}).get(key, ())) for key in sections}
    items = {name_of(item): (item, cropped[key]) for key, some in sections.items() for item in some}
    problems = torn_patients(sections) + torn_images(sections)
    for item, own in items.values():
        problems += [*problems_of(item, own), *class_problems(item, classes)]
        problems += [] if per_volume or z_score else window_problems(item, expected.reader, intensity_range)
    refuse("The data can not be trained on", problems or _no_foreground("training mask", training, expected))
    _warn_of_copies(training, validation)
    if transform is not None:
        warn_of_memory([*training, *validation], transform)
    for name, some in sections.items():
        patients = {item.get("patient", name_of(item)) for item in some}
        logger.info(f"{name}: {len(set(map(name_of, some)))} images of {len(patients)} patients or groups")
    return _own(output_dir)


def _own(output_dir: str | Path) -> Lock | None:
    """Keep a folder for this run; last, so that refused data leave nothing in it."""
    return Lock(output_dir) if idist.get_rank() == 0 else None


def check_before_contrast(
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    output_dir: str | Path,
    reader: GreyReader,
    in_channels: int,
    intensity_range: Sequence[float],
    counts: Mapping[str, int],
) -> Lock | None:
    """Stop before an encoder is trained on images alone, if something is wrong with them.

    Arguments and what it returns are those of `check_before_training`.

    Raises:
        ValueError: as there, of images.
    """
    check_writable(output_dir)
    _check_counts(counts)
    check_window(intensity_range, z_score=False)
    sections = {"training": training, "validation": validation}
    problems = torn_patients(sections) + torn_images(sections)
    for item in [*training, *validation]:
        problems += image_problems(item, Expected(reader, in_channels))
        problems += window_problems(item, reader, intensity_range)
    refuse("The encoder can not be trained on the data", problems)
    _warn_of_copies(training, validation)
    return _own(output_dir)


def check_before_evaluation(
    items: Sequence[Mapping[str, Any]],
    reader: GreyReader | None = None,
    in_channels: int = 1,
    foreground: Sequence[float] | None = None,
    background: Sequence[float] = (),
    crop: Sequence[Crop] = (),
    structures: Structures | None = None,
    exclusive: bool = True,
    spatial_dims: int = 2,
) -> None:
    """Stop before anything is sampled, if an image or mask can not be scored: reading is quick, sampling is not.

    Args:
        items:        of a datalist.
        reader:       and the others: as for `check_before_training`.
        in_channels:  see there.
        foreground:   see there.
        background:   see there.
        crop:         of the image.
        structures:   and `exclusive`: see there.
        spatial_dims: of the network: 3 takes volumes alone.

    Raises:
        ValueError: it names every file, as `check_before_training` does.
    """
    masks = (foreground, background, structures, exclusive)
    expected = _expected(reader, in_channels, spatial_dims, *masks)._replace(crop=crop)
    problems = [problem for item in items for problem in problems_of(item, expected)]
    missing = [] if problems else _no_foreground("mask", items, expected)
    for text in missing if len(missing) < len(expected.chosen) else ():
        logger.warning(f"warning: {text}")  # nobody may have a gallbladder
    if len(missing) == len(expected.chosen) and not all(_is_empty(item, expected) for item in items):
        problems += missing
    refuse("The data can not be scored", problems)


def _expected(
    reader: GreyReader | None,
    in_channels: int,
    spatial_dims: int,
    foreground: Sequence[float] | None,
    background: Sequence[float],
    structures: Structures | None,
    exclusive: bool,
) -> Expected:
    """What files must hold, of structures that can be."""
    if structures is not None:
        check_structures(structures, exclusive)
    return Expected(
        reader or GreyReader(),
        in_channels,
        foreground,
        background,
        spatial_dims=spatial_dims,
        structures=structures,
        exclusive=exclusive,
    )


def _check_counts(counts: Mapping[str, int]) -> None:
    """What the engines would refuse in words of their own, after the phase before."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} is {count!r}, expected a whole number from 1 up: correct it.")


@torch.no_grad()
def _check_settings(network: Denoiser, in_channels: int, image_size: Sequence[int]) -> None:
    """What would stop a later phase."""
    was_training = network.training
    device = next(network.parameters()).device
    size = [*image_size, *[1] * (network.spatial_dims - len(image_size))]  # a volume's slices are as many as it has
    network.eval().encode(torch.zeros(1, in_channels, *size, device=device))
    network.train(was_training)


def window_problems(item: Mapping[str, Any], reader: GreyReader, intensity_range: Sequence[float]) -> Iterator[str]:
    """Whether an image that can be read has hardly anything within the range of grey values."""
    try:
        image, _ = reader.channels(item["image"])
    except ValueError:  # said already
        return
    if not constant(image) and (found := outside_window(image, intensity_range)):  # the former is said already
        yield f"{name_of(item)} {found}: change intensity_range."


def class_problems(item: Mapping[str, Any], classes: int) -> Iterator[str]:
    """Whether the item's `class` is there, where the network tells several apart."""
    if classes > 1 and item.get("class") not in range(classes):
        found = f"the class {item['class']}" if "class" in item else "no class"
        expected = f"expected 0 to {classes - 1}: use a layout that has classes (busi), or prior_classes 1"
        yield f"{name_of(item)} has {found}; {expected}."


def torn_images(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Images that stand in several sections."""
    first, *others = ({path for item in items for path in paths_of(item["image"])} for items in sections.values())
    both = sorted(first.intersection(*others))
    return [f"{path} is in {' and '.join(sections)}; expected one of them: correct the datalist." for path in both]


def _warn_of_copies(training: Sequence[Mapping[str, Any]], validation: Sequence[Mapping[str, Any]]) -> None:
    """Say which images are in both under two names; a published split may have some, and is to be trained on."""
    if found := copies(training, validation):
        shown = "; ".join(f"{one} and {other}" for one, other in found[:5])
        expected = "expected them in one split, or scores are too good: remove one, or give both the same patient"
        logger.warning(
            f"warning: {len(found)} images of the validation are in the training, too ({shown}); {expected}."
        )


def _no_foreground(what: str, items: Sequence[Mapping[str, Any]], expected: Expected) -> list[str]:
    """Which of the chosen values are in no mask: another coding than was thought."""
    remedy = "foreground and background" if expected.setting == "foreground" else expected.setting
    return [
        f"no {what} holds a value of {name} ({', '.join(map(str, [*values][:8]))}): correct {remedy}."
        for name, values in expected.chosen.items()
        if not any(_holds(item, values, expected) for item in items)
    ]


def _is_empty(item: Mapping[str, Any], expected: Expected) -> bool:
    """Whether a mask is of zeros: a section may hold no lesion at all."""
    return not expected.masks_reader.channels(item["label"])[0].any()


def _holds(item: Mapping[str, Any], values: Sequence[float], expected: Expected) -> bool:
    masks, _ = expected.masks_reader.channels(item["label"])
    return bool(is_any_of(torch.from_numpy(masks), values).any())
