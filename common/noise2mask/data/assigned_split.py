"""A split that a table gives, image by image, such as the one that a card's scores are of (docs/split.csv)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .item_paths import name_of
from .layout_files import read_table, stem_of
from .layout_folder import SPLITS
from .problems import refuse
from .splits import KEYS, torn_patients

COLUMNS = ("image", "group", "split")


def assigned(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The datalist of the same images in the split of a table; images that it does not name are left out.

    Args:
        content: a datalist.
        path:    CSV with the columns image (the file's name, with or without its suffix), group (whose images stay
            together: of one patient, or near-duplicates; the image's own name where there are none) and split (train,
            val or test).

    Raises:
        ValueError: where the table can not be read, has other columns, another split, no group or an image twice, tears
            a group apart, or names an image that is not there or is there twice; it names the file.
    """
    rows = _rows(path)
    items = [item for key in KEYS for item in content[key]]
    refuse(f"the split of {path} cannot be used", [*_row_problems(rows), *_image_problems(rows, items)])
    of_stem = {_stem(name_of(item)): item for item in items}
    sections: dict[str, list[dict[str, Any]]] = {key: [] for key in KEYS}
    for row in rows:
        item = {**of_stem[_stem(row["image"])], "patient": row["group"]}
        item.pop("group_by", None)  # of one data set of several: the table's groups are of all of them
        sections[SPLITS[row["split"]]].append(item)
    refuse(f"the split of {path} cannot be used", torn_patients(sections))
    return {**content, "split_by": path.name, "group_by": "group", **sections}


def _rows(path: Path) -> list[dict[str, str]]:
    names, rows = read_table(path)
    if missing := [name for name in COLUMNS if name not in names]:
        remedy = f"give a table (CSV, UTF-8) with the columns {', '.join(COLUMNS)}"
        raise ValueError(f"{path} has no column {', '.join(missing)}: {remedy}.")
    return rows


def _row_problems(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What is wrong with a row, whatever the images are."""
    without = [row["image"] for row in rows if not row["group"]]
    wrong = [(row["image"], row["split"]) for row in rows if row["split"] not in SPLITS]
    return [f"{image} has no group: give it its patient, or its own name." for image in without] + [
        f"{image} has split {split!r}, expected train, val or test: correct the word." for image, split in wrong
    ]


def _image_problems(rows: Sequence[Mapping[str, str]], items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Images that the table names twice, that are not there, or of which there are several."""
    named, there = Counter(_stem(row["image"]) for row in rows), Counter(_stem(name_of(item)) for item in items)
    twice = [stem for stem, count in named.items() if count > 1]
    return [
        *(f"{stem} is listed {named[stem]} times: keep one row." for stem in twice),
        *(f"{stem} is not in the data set: add the image, or remove the row." for stem in named if not there[stem]),
        *(f"{there[stem]} images are called {stem}: rename all but one." for stem in named if there[stem] > 1),
    ]


def _stem(name: str) -> str:
    """Of a file, or the name of a folder of DICOM files."""
    return stem_of(name) or Path(name).name
