"""Datalist of a data set that is published in parts: its test images stay apart, and what is not given is drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .layout_files import ADD_MASK, assemble, refuse_folder
from .problems import knowing_pairs
from .splits import natural, split_groups, split_training


class Part(NamedTuple):
    """Files of one of the parts, by what names an image in all of them; a mask has the name of its image."""

    images: dict[str, Path]
    masks: dict[str, Path]


def published_datalist(folder: Path, parts: Mapping[str, Part], seed: int) -> dict:
    """The datalist of parts by key, image by image.

    A validation part that is missing is drawn from the training images, and so is a test part where that is missing,
    too; validation images without test images stay what they are, and the test list is empty.

    Args:
        folder: of the data set, for messages.
        parts:  by "training", "validation" and "testing".
        seed:   of what is drawn.

    Raises:
        ValueError: where there are no training images, an image has no mask, a mask no image, or an image is in two
            parts; it names the files.
    """
    images = {name: path for part in parts.values() for name, path in part.images.items()}
    masks = {name: path for part in parts.values() for name, path in part.masks.items()}
    keys = {name: key for key, part in parts.items() for name in part.images}
    problems = [problem for part in parts.values() for problem in unpaired(part)]
    for key, part in parts.items():
        twice = [name for name in part.images if keys[name] != key]
        problems += [f"{name} is in {key} and {keys[name]}; expected one: remove it from the other." for name in twice]
    if not problems and "training" not in keys.values():
        problems = ["it has no training images: give the folder that does."]
    with knowing_pairs(images, masks):
        refuse_folder(folder, problems)
    names = [name for name, key in keys.items() if key == "training"]
    if "validation" not in keys.values():
        keys |= (split_training if "testing" in keys.values() else split_groups)(names, seed)
    return assemble(images, masks, {name: name for name in images}, keys, "image", "folder")


def unpaired(part: Part) -> list[str]:
    """Images without a mask, and masks without an image."""
    lone = [path for name, path in part.images.items() if name not in part.masks]
    orphans = [path for name, path in part.masks.items() if name not in part.images]
    return [f"{path} has no mask: {ADD_MASK}." for path in lone] + [
        f"{path} has no image: add the image, or remove the mask." for path in orphans
    ]


def in_order(files: dict[str, Path]) -> dict[str, Path]:
    """In natural order of the names."""
    return {name: files[name] for name in sorted(files, key=natural)}
