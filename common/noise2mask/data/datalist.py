"""Datalists: which image belongs to which mask and patient, and which of them train, validate and test.

The form is that of the Medical Segmentation Decathlon: a JSON object with the keys training, validation and testing,
each a list of {"image": path or list of paths, "label": path or list of paths, "patient": name}. Several image paths
are the modalities of one case, in the order of the network's channels; several label paths are the mask files of one
image and are to be joined (union); `annotations`, where there are, is a list of masks of the same image by several
annotators; `class` is a number, where a layout has classes. One function per known layout makes the datalist;
`datalist` is what configs name by `_target_`.

    python -m noise2mask.data.datalist FOLDER                writes FOLDER/datalist.json, which `datalist` then prefers
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..files import previous_path, write_text_atomically
from .assigned_split import assigned
from .item_paths import name_of
from .layouts import FILE, LAYOUTS
from .problems import refuse
from .splits import GROUPS, KEYS, torn_patients

__all__ = ["build", "datalist", "load_datalist", "replace_datalist", "write_datalist"]

FILES = ("image", "label", "annotations")  # what of an item names files


def datalist(
    folder: str | os.PathLike,
    key: str,
    layout: str = "folder",
    split: str = "folder",
    annotations: bool = False,
    group_by: bool = False,
) -> list[dict]:
    """Items of one split of a data set, with absolute paths.

    Args:
        folder: the data set, or a datalist (.json) itself; if it has a datalist.json, that file is read. With a
            datalist, layout and split do not matter.
        key: "training", "validation" or "testing".
        layout: one of `layouts.LAYOUTS`; each is described in layout_NAME.py.
        split: of "busi" only, "pgdiffseg" or "folder".
        annotations: keep the masks of several annotators, whose number differs from item to item; for evaluation.
        group_by: every item says what its `patient` is, "patient", "group" or "image", where that is known; for
            evaluation.
    """
    file = Path(folder) if Path(folder).is_file() else Path(folder) / FILE
    content = load_whole(file) if file.is_file() else build(folder, layout, split)
    items = section(content, key, file if file.is_file() else folder)
    without = [f"{name_of(item)} has no mask; expected one: add or remove it." for item in items if "label" not in item]
    refuse(f"{folder} can not be used for training or scores", without)
    items = items if annotations else [{k: v for k, v in item.items() if k != "annotations"} for item in items]
    more = {"group_by": content["group_by"]} if group_by and "group_by" in content else {}
    return [{**more, **item} for item in items]


def build(folder: str | os.PathLike, layout: str, split: str) -> dict:
    """Datalist of a data set in a known layout."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
    if layout != "busi" and split != "folder":
        raise ValueError(f"split is {split!r}, but layout {layout} has none to choose from; expected 'folder'.")
    made = LAYOUTS[layout](folder, split) if layout == "busi" else LAYOUTS[layout](folder)
    return {"layout": layout, **made}


def section(content: dict, key: str, source: str | os.PathLike) -> list[dict]:
    """The list of one split, which must be there and not be empty."""
    if key not in KEYS:
        raise ValueError(f"The section is {key!r}, expected one of {', '.join(KEYS)}: change section.")
    if not content.get(key):
        counts = ", ".join(f"{name} {len(content.get(name, []))}" for name in KEYS)
        raise ValueError(f"{source} has no images for {key} ({counts}): add patients or change the split")
    return content[key]


def load_datalist(path: str | os.PathLike, key: str) -> list[dict]:
    """Items of one split of a datalist file, with paths made absolute from the folder of the file."""
    return section(load_whole(path), key, path)


def load_whole(path: str | os.PathLike) -> dict[str, Any]:
    """A datalist file, with paths made absolute from the folder of the file.

    MONAI's load_decathlon_datalist does not serve: it also makes a path of a patient's name where a file has that name.

    Raises:
        ValueError: where it is missing, malformed, or tears a patient apart; it names the file.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise ValueError(f"datalist {path} does not exist: write it with `python -m noise2mask.data.datalist FOLDER`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        remedy = "give the folder of a data set, or the datalist of one; if this is one, write it again"
        raise ValueError(f"datalist {path} is not JSON ({error}): {remedy}") from error
    refuse(f"the datalist {path} cannot be used", list(malformed(content)))
    whole: dict[str, Any] = dict(content)
    for key in (key for key in KEYS if key in content):
        whole[key] = [with_paths(item, lambda name: os.path.normpath(path.parent / name)) for item in content[key]]
    sections = {key: whole.get(key, []) for key in KEYS}
    every = [item for items in sections.values() for item in items]
    refuse(f"the datalist {path} cannot be used", torn_patients(sections), every)
    return whole


def malformed(content: Any) -> Iterator[str]:
    """What is wrong with the form of a datalist."""
    if not isinstance(content, dict) or not any(key in content for key in KEYS):
        yield f"it is no object with {', '.join(KEYS)}: write it again"
        return
    if content.get("group_by", GROUPS[0]) not in GROUPS:
        yield f"group_by is {content['group_by']!r}, expected one of {', '.join(GROUPS)}, or none: correct it"
    for key in (key for key in KEYS if key in content):
        if not isinstance(content[key], list):
            yield f"{key} is no list: write it again"
            continue
        for number, item in enumerate(content[key]):
            if not isinstance(item, dict) or not item.get("image") or not is_path(item["image"]):
                yield f'{key}[{number}] is {item!r}, expected an object with the path of an "image", or a list of paths'
            elif not all(is_path(item[name]) for name in ("label", "annotations") if name in item):
                yield f'{key}[{number}] has a "label" or "annotations" that is neither a path nor a list of paths'


def is_path(value: Any) -> bool:
    """A path, or several."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


def write_datalist(datalist: dict, path: str | os.PathLike) -> Path:
    """Write a datalist; paths below the folder of the file become relative, so that both can be moved together."""
    path = Path(path).absolute()
    write_text_atomically(_text(datalist, path.parent), path)
    return path


def replace_datalist(datalist: dict, path: str | os.PathLike) -> Path | None:
    """Write a datalist that people edit: one that is there and says something else stays beside it.

    Returns:
        Where that one stands now; None where there was none, or the same.
    """
    path = Path(path).absolute()
    text, there = _text(datalist, path.parent), path.is_file()
    if there and path.read_bytes() == text.encode():
        return None
    write_text_atomically(text, path, keep_previous=True)
    return previous_path(path) if there else None


def _text(datalist: dict, folder: Path) -> str:
    """What stands in the file of a datalist in a folder."""

    def relative(name: str) -> str:
        inside = Path(name).is_relative_to(folder)
        return Path(name).relative_to(folder).as_posix() if inside else str(name)

    content = {k: [with_paths(item, relative) for item in v] if k in KEYS else v for k, v in datalist.items()}
    return json.dumps(content, indent=2) + "\n"


def with_paths(item: dict, change: Callable[[str], str]) -> dict:
    """Copy of an item with every path changed."""
    result = dict(item)
    for key in FILES:
        if key in item:
            paths = item[key]
            result[key] = [change(name) for name in paths] if isinstance(paths, list) else change(paths)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the datalist of a folder and say how many images each split has."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.data.datalist", description=main.__doc__)
    parser.add_argument("folder", help="data set")
    parser.add_argument("--layout", default="folder", choices=LAYOUTS)
    parser.add_argument("--split", default="folder", choices=("pgdiffseg", "folder"), help="of the layout busi")
    parser.add_argument("--assign", type=Path, help="CSV with image, group and split, such as a card's docs/split.csv")
    parser.add_argument("--output", help="default: FOLDER/datalist.json")
    options = parser.parse_args(arguments)
    try:
        content = build(options.folder, options.layout, options.split)
        there = sum(len(content[key]) for key in KEYS)
        content = assigned(content, options.assign) if options.assign else content
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    path = Path(options.output or Path(options.folder) / FILE).absolute()
    if former := replace_datalist(content, path):
        print(f"The datalist that was there says something else: it is {former} now.")
    left_out = there - sum(len(content[key]) for key in KEYS)
    counts = [f"{key} {len(content[key])}" for key in KEYS] + ([f"left out {left_out}"] if left_out else [])
    print(f"{path}: {', '.join(counts)}, split by {content['split_by']}")


if __name__ == "__main__":
    main()
