"""Several data sets mixed: a folder of data sets, each in a layout of its own.

The paper MedSegDiff-V2 mixes sets of thyroid ultrasound so (TNMIX). Each set keeps its own split; patients of different
sets are different, whatever they are called.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .layout_files import existing
from .splits import KEYS, natural

Build = Callable[[Path], dict]  # the datalist of one data set


def mixed_datalist(folder: str | os.PathLike, build: Build) -> dict:
    """Datalist of all data sets in a folder, with absolute paths; items say what their patient is (`group_by`).

    Args:
        folder: its folders are data sets.
        build:  of one of them.

    Raises:
        ValueError: where there is none, or as `build` does.
    """
    folder = existing(folder)
    folders = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    sets = sorted(folders, key=lambda path: natural(path.name))
    if not sets:
        raise ValueError(f"{folder} holds no folder, expected one per data set: give the folder that does.")
    result: dict = {"split_by": "data set", **{key: [] for key in KEYS}}
    for path in sets:
        content = build(path)
        for key in KEYS:
            result[key] += [_of_set(path.name, item, content) for item in content[key]]
    return result


def _of_set(name: str, item: Mapping, content: Mapping) -> dict:
    """An item, whose patient is one of this set."""
    return {**item, "patient": f"{name}/{item['patient']}", "group_by": content.get("group_by", "image")}
