"""A split that a table gives, image by image, such as the one that a card's scores are of (docs/split.csv)."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from .item_paths import name_of
from .layout_files import stem_of
from .layout_folder import SPLITS
from .problems import refuse
from .splits import KEYS

COLUMNS = ("image", "group", "split")


def assigned(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The datalist of the same images in the split of a table; images that it does not name are left out.

    Args:
        content: a datalist.
        path:    CSV with the columns image (the file's name, with or without its suffix), group (whose images stay
            together: of one patient, or near-duplicates) and split (train, val or test).

    Raises:
        ValueError: where the table is missing, has other columns, another split or an image twice, tears a group apart,
            or names an image that is not there; it names the file.
    """
    rows = _rows(path)
    items = {_stem(name_of(item)): item for key in KEYS for item in content[key]}
    _refuse_rows(path, rows, set(items))
    result = {**content, "split_by": path.name, "group_by": "group", **{key: [] for key in KEYS}}
    for row in rows:
        item = {**items[_stem(row["image"])], "patient": row["group"]}
        result[SPLITS[row["split"]]].append(item)
    return result


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            names, rows = table.fieldnames or [], list(table)
    except OSError as error:
        raise ValueError(
            f"{path} can not be read ({error.strerror}): give a table with {', '.join(COLUMNS)}."
        ) from error
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"{path} has no column {', '.join(missing)}, expected {', '.join(COLUMNS)}.")
    return [{name: (row[name] or "").strip() for name in COLUMNS} for row in rows]


def _refuse_rows(path: Path, rows: list[dict[str, str]], there: set[str]) -> None:
    """Stop where the table can not be followed."""
    stems = Counter(_stem(row["image"]) for row in rows)
    problems = [f"{stem} is listed {count} times: keep one row." for stem, count in stems.items() if count > 1]
    problems += [f"{stem} is not in the data set: add the image, or remove the row." for stem in stems.keys() - there]
    others = {row["split"] for row in rows} - SPLITS.keys()
    problems += [f"split is {split!r}, expected one of {', '.join(SPLITS)}." for split in sorted(others)]
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    torn = [group for group, own in splits.items() if len(own) > 1]
    problems += [f"group {group} is in {' and '.join(sorted(splits[group]))}: put it into one." for group in torn]
    refuse(f"the split of {path} cannot be used", sorted(problems))


def _stem(name: str) -> str:
    return stem_of(name) or name
