"""Looks at all images and masks before anything is trained, and says everything that is wrong with them at once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files import check_writable
from ..transforms.binary_mask import wrong_values
from .reader import GreyReader, is_picture

MOST = 10  # problems that are shown
SAME_MM = 1e-3  # difference of affine matrices that is rounding


def check_before_training(
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    output_dir: str | Path,
    phase: int = 0,
) -> None:
    """Stop before anything is trained or written, if something is wrong.

    Args:
        training:   items of a datalist, which may list a file several times.
        validation: the same.
        output_dir: where the run will write.
        phase:      as for `GreyReader`.

    Raises:
        ValueError: it names every file, what was found, what was expected and what to do: an image or mask that is
            missing or can not be read, sizes or geometry that differ, an image of a single value, mask values that are
            not binary, a patient or a file in both lists, a folder that can not be written to.
    """
    check_writable(output_dir)
    sections = {"training": training, "validation": validation}
    problems = torn_patients(sections) + torn_images(sections)
    items = {str(item["image"]): item for item in [*training, *validation]}
    problems += [problem for item in items.values() for problem in problems_of(item, GreyReader(phase))]
    if problems:
        more = [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
        raise ValueError("\n  ".join(["The data can not be trained on:", *problems[:MOST], *more]))


def torn_patients(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Patients that stand in several sections."""
    found: dict[str, list[str]] = {}
    for name, items in sections.items():
        for patient in dict.fromkeys(str(item["patient"]) for item in items if item.get("patient")):
            found.setdefault(patient, []).append(name)
    return [
        f"patient {patient} is in several splits ({', '.join(names)}); expected one: move all images of the patient."
        for patient, names in found.items()
        if len(names) > 1
    ]


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
    shape = mask.shape[1:] if len(labels) > 1 else mask.shape
    if shape != image.shape:
        yield f"{labels[0]} has size {shape}, but {item['image']} has {image.shape}; expected the same: replace one."
    elif not is_picture(str(item["image"])) and not _same_place(image_meta, mask_meta):
        yield f"{labels[0]} has another position, spacing or orientation than {item['image']}: resample the mask."
    wrong = wrong_values(torch.from_numpy(mask))
    if wrong:
        yield f"{labels[0]} {wrong}"


def _same_place(image: Mapping[str, Any], mask: Mapping[str, Any]) -> bool:
    """Whether both affine matrices are the same; the third column of a single slice may be anything."""
    first, second = (np.asarray(meta["affine"], dtype=float) for meta in (image, mask))
    return first.shape == second.shape and bool(np.abs(first - second).max() <= SAME_MM)
