"""Which images a figure shows: with their labels where the input is a data set, some of them evenly spread."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.datalist import datalist, load_datalist
from ..data.inputs import find_inputs
from ..data.layouts import FILE
from ..spread import evenly

FOLDERS = ("masks", "labels")  # beside images/, of the plain layout


def items_to_explain(
    path: str | os.PathLike,
    section: str = "testing",
    layout: str = "folder",
    split: str = "folder",
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Items with `image` and, where they have one, `label`.

    Args:
        path:    an image, a folder of images, a datalist (.json), or the folder of a data set.
        section: of a datalist or a data set.
        layout:  of a data set, one of `layouts.LAYOUTS`.
        split:   of a data set.
        most:    images at most; None: all.

    Raises:
        ValueError: where there is nothing, or `most` is below 1.
    """
    return some(_items(Path(path), section, layout, split), most)


def some(items: Sequence[dict[str, Any]], most: int | None) -> list[dict[str, Any]]:
    """At most so many of the items, evenly spread; None: all.

    Raises:
        ValueError: where `most` is below 1.
    """
    if most is not None and most < 1:
        raise ValueError(f"{most} images are to be shown, expected 1 or more: correct most_cases.")
    return [items[i] for i in evenly(len(items), len(items) if most is None else most)]


def _items(path: Path, section: str, layout: str, split: str) -> list[dict[str, Any]]:
    if path.suffix == ".json":
        found = load_datalist(path, section)
        return found if all("label" in item for item in found) else find_inputs(path, section)
    plain = any((path / "images").is_dir() and (path / name).is_dir() for name in FOLDERS)
    if path.is_dir() and (layout != "folder" or plain or (path / FILE).is_file()):
        return datalist(path, section, layout, split, group_by=True)
    return find_inputs(path, section)
