"""Looks at all images and masks before anything is trained, and says everything that is wrong with them at once."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..diffusion.denoiser import Denoiser
from ..diffusion.target import check_mask_scale
from ..files import check_writable
from ..transforms.binary_mask import wrong_values
from .problems import refuse
from .reader import GreyReader, is_picture
from .splits import torn_patients
from .window import outside_window

logger = logging.getLogger(__name__)

SAME_MM = 1e-3  # difference of affine matrices that is rounding


def check_before_training(
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    network: Denoiser,
    image_size: Sequence[int],
    intensity_range: Sequence[float],
    output_dir: str | Path,
    phase: int = 0,
    per_volume: bool = False,
    mask_scale: float = 1.0,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Stop before anything is trained or written, if something is wrong.

    Args:
        training:        items of a datalist, which may list a file several times.
        validation:      the same.
        network:         to be trained; it must take images of this size, and says how many classes items have.
        image_size:      rows, columns and, of a network of three dimensions, slices.
        intensity_range: grey values that become -1 and +1.
        output_dir:      where the run will write.
        phase:           as for `GreyReader`.
        per_volume:      grey values are first scaled to 0 .. 255, file by file.
        mask_scale:      clean masks will live on +-mask_scale.
        counts:          settings, by their names, that are whole numbers from 1 up, such as epochs.

    Raises:
        ValueError: it names every file, what was found, what was expected and what to do: an image or mask that is
            missing or can not be read, sizes or geometry that differ, an image of a single value, mask values that are
            not binary, a class that is missing, a patient or a file in both lists; before that, a size that the network
            does not take, an empty range of grey values, masks without a scale, no epochs, a folder that can not be
            written to.
    """
    check_writable(output_dir)
    check_mask_scale(mask_scale)
    _check_counts(counts or {})
    _check_settings(network, image_size, intensity_range)
    sections = {"training": training, "validation": validation}
    items = {str(item["image"]): item for item in [*training, *validation]}
    problems = torn_patients(sections) + torn_images(sections)
    for item in items.values():
        problems += [*problems_of(item, GreyReader(phase)), *class_problems(item, network.item_classes)]
        problems += [] if per_volume else window_problems(item, GreyReader(phase), intensity_range)
    refuse("The data can not be trained on", problems)
    for name, some in sections.items():
        patients = {item.get("patient", item["image"]) for item in some}
        logger.info(
            f"{name}: {len({str(item['image']) for item in some})} images of {len(patients)} patients or groups"
        )


def check_before_evaluation(items: Sequence[Mapping[str, Any]], phase: int = 0) -> None:
    """Stop before anything is sampled, if an image or mask can not be scored: reading is quick, sampling is not.

    Args:
        items: of a datalist.
        phase: as for `GreyReader`.

    Raises:
        ValueError: it names every file, as `check_before_training` does.
    """
    problems = [problem for item in items for problem in problems_of(item, GreyReader(phase))]
    refuse("The data can not be scored", problems)


def _check_counts(counts: Mapping[str, int]) -> None:
    """What the engines would refuse in words of their own, after the phase before."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} is {count!r}, expected a whole number from 1 up: correct it.")


@torch.no_grad()
def _check_settings(network: Denoiser, image_size: Sequence[int], intensity_range: Sequence[float]) -> None:
    """What would stop a later phase."""
    low, high = intensity_range
    if not low < high:
        raise ValueError(f"intensity_range is {low:g} to {high:g}; expected the lower value first: correct it.")
    was_training = network.training
    device = next(network.parameters()).device
    network.eval().encode(torch.zeros(1, 1, *image_size, device=device))
    network.train(was_training)


def window_problems(item: Mapping[str, Any], reader: GreyReader, intensity_range: Sequence[float]) -> Iterator[str]:
    """Whether an image that can be read has hardly anything within the range of grey values."""
    try:
        image, _ = reader.get_data([str(item["image"])])
    except ValueError:  # said already
        return
    if found := outside_window(image, intensity_range):
        yield f"{item['image']} {found}: change intensity_range."


def class_problems(item: Mapping[str, Any], classes: int) -> Iterator[str]:
    """Whether the item's `class` is there, where the network tells several apart."""
    if classes > 1 and item.get("class") not in range(classes):
        found = f"the class {item['class']}" if "class" in item else "no class"
        expected = f"expected 0 to {classes - 1}: use a layout that has classes (busi), or prior_classes 1"
        yield f"{item['image']} has {found}; {expected}."


def torn_images(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Images that stand in several sections."""
    first, *others = ({str(item["image"]) for item in items} for items in sections.values())
    both = sorted(first.intersection(*others))
    return [f"{path} is in {' and '.join(sections)}; expected one of them: correct the datalist." for path in both]


def problems_of(item: Mapping[str, Any], reader: GreyReader) -> Iterator[str]:
    """Everything that is wrong with one image and its mask."""
    try:
        image, image_meta = reader.get_data([str(item["image"])])
    except ValueError as error:
        yield str(error)
        return
    if image.min() == image.max():
        yield f"{item['image']} has the value {image.min():g} everywhere; expected a picture: remove or replace it."
    if "label" not in item:
        yield f"{item['image']} has no mask; expected one, of zeros where there is no lesion: add or remove it."
        return
    labels = item["label"] if isinstance(item["label"], list) else [item["label"]]
    try:
        mask, mask_meta = reader.get_data([str(path) for path in labels])
    except ValueError as error:
        yield str(error)
        return
    masks = mask if len(labels) > 1 else mask[None]  # (F, ...), a file each
    shape = masks.shape[1:]
    if shape != image.shape:
        yield f"{labels[0]} has size {shape}, but {item['image']} has {image.shape}; expected the same: replace one."
    elif not is_picture(str(item["image"])) and not same_place(image_meta["affine"], mask_meta["affine"]):
        yield f"{labels[0]} has another position, spacing or orientation than {item['image']}: resample the mask."
    for path, one in zip(labels, masks, strict=True):
        if wrong := wrong_values(torch.from_numpy(one)):
            yield f"{path} {wrong}"
    for path in item.get("annotations", []):
        yield from _annotation_problems(str(path), str(item["image"]), image.shape, reader)


def _annotation_problems(path: str, image: str, shape: tuple[int, ...], reader: GreyReader) -> Iterator[str]:
    """What is wrong with one annotator's mask."""
    try:
        mask, _ = reader.get_data([path])
    except ValueError as error:
        yield str(error)
        return
    if mask.shape != shape:
        yield f"{path} has size {mask.shape}, but {image} has {shape}; expected the same: replace one."
    if wrong := wrong_values(torch.from_numpy(mask)):
        yield f"{path} {wrong}"


def same_place(first: Any, second: Any) -> bool:
    """Whether two affine matrices are the same but for rounding."""
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return first.shape == second.shape and bool(np.abs(first - second).max() <= SAME_MM)
