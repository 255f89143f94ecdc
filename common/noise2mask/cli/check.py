"""`noise2mask check`: everything that is wrong with a data set, its numbers, a picture, and a split to edit."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..data.datalist import build, load_whole, replace_datalist
from ..data.fingerprint import survey
from ..data.item_paths import name_of, paths_of
from ..data.layouts import FILE, MASK_VALUES, SHOWN, layout_of
from ..data.problems import Problems
from ..data.reader import ColourReader, MaskReader
from ..data.splits import KEYS
from ..explain.overlays import write_overlays
from ..files import check_writable, write_text_atomically
from ..spread import evenly
from ..transforms.binary_mask import is_foreground

CASES = 12  # images on the sheet
LISTED = 50  # problems in the table on the screen; problems.txt has all


def check_data(
    data: Path,
    output: Path,
    layout: str | None,
    split: str,
    phase: int,
    console: Console,
    foreground: str | None = None,
    background: str | None = None,
) -> bool:
    """Look at a data set, write `fingerprint.json`, `datalist.json`, `overlays.png` and `problems.txt`.

    Returns:
        Whether it can be trained on.
    """
    if foreground is None and background is not None:
        raise ValueError("--background is of masks of several classes: give --foreground, too, or leave it out.")
    check_writable(output)
    given = None if foreground is None else (_numbers(foreground), _numbers(background or "0"))
    content, refused = _content(data, layout, split)
    coded: tuple[Sequence[float], Sequence[float]] | None = MASK_VALUES.get(str(content.get("layout")))
    values = given or coded or (None, ())
    found = survey(content, phase, regroup=split == "folder" and not refused, values=values)
    content = found.content
    problems = [*refused, *found.problems]
    if any(found.fingerprint["images"].values()):
        write_text_atomically(json.dumps(found.fingerprint, indent=2) + "\n", output / "fingerprint.json")
    _show(output, problems, found.doubtful, data, console)
    if problems:
        return False
    if former := replace_datalist(content, output / FILE):
        console.print(f"The datalist that was there says something else, as after an edit: it is {former} now")
    modality = SHOWN.get(str(content.get("layout")), 0)
    write_overlays(_some_cases(content, phase, values[0], modality), output / "overlays.png")
    counts = ", ".join(f"{key} {len(content.get(key, []))}" for key in KEYS)
    console.print(f"{counts}; split by {found.fingerprint['split_by']}")
    console.print(
        f"Look at {output / 'overlays.png'}; change the split in {output / FILE}, and train with --data {output / FILE}"
    )
    return True


def _numbers(text: str) -> list[int]:
    """1,2,4 -> the numbers.

    Raises:
        ValueError: where it is something else.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"The values are {text!r}; expected whole numbers such as 1,2,4: correct them.") from error


def _content(data: Path, layout: str | None, split: str) -> tuple[dict[str, Any], list[str]]:
    """The datalist of a folder, or of a file, with absolute paths; or the pairs there are, and what is wrong."""
    name = layout or "folder"
    try:
        name = layout or layout_of(data)
        file = next((file for file in (data, data / FILE) if file.is_file()), None)
        return (build(data, name, split) if file is None else load_whole(file)), []
    except Problems as error:
        return {"layout": name, "split_by": "none", "group_by": "none", "training": error.pairs}, error.problems
    except ValueError as error:
        return {}, [str(error)]


def _show(output: Path, problems: Sequence[str], doubtful: Sequence[str], data: Path, console: Console) -> None:
    """Problems and remedies, in a table and, all of them, in a file."""
    lines = [("problem", text) for text in problems] + [("look at", text) for text in doubtful]
    write_text_atomically("".join(f"{kind}: {text}\n" for kind, text in lines), output / "problems.txt")
    if not lines:
        console.print("No problem was found.")
        return
    table = Table(title=f"{data}: {len(problems)} problems, {len(doubtful)} to look at")
    for name in ("", "what is wrong", "what to do"):
        table.add_column(name, overflow="fold")  # names whole, on several lines
    for kind, text in lines[:LISTED]:
        what, _, remedy = text.replace(f"{data.absolute()}/", "").rpartition(": ")
        table.add_row(kind, escape(what or text), escape(remedy.rstrip(".")) if what else "")
    console.print(table)
    if len(lines) > LISTED:
        console.print(f"and {len(lines) - LISTED} more in {output / 'problems.txt'}")


def _some_cases(
    content: Mapping[str, Any], phase: int, foreground: Sequence[float] | None, modality: int
) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray | None]]:
    """Images spread over the data set, in colour where they are, of several modalities this one; masks, affines."""
    items = [item for key in KEYS for item in content.get(key, [])]
    chosen = [items[i] for i in evenly(len(items), CASES)]
    cases: list[tuple[str, np.ndarray, np.ndarray, np.ndarray | None]] = []
    for item in chosen:
        paths = paths_of(item["image"])
        shown = paths[min(modality, len(paths) - 1)]
        image, meta = ColourReader(phase).get_data([shown])  # (W, H), (3, W, H) or (X, Y, Z)
        masks, _ = MaskReader(phase).channels(item["label"])  # (F, W, H) or (F, X, Y, Z)
        inside = is_foreground(torch.from_numpy(masks), foreground).any(dim=0).numpy()
        cases.append((Path(name_of(item)).name, image, inside, meta.get("affine") if inside.ndim == 3 else None))
    return cases
