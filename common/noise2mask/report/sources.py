"""What a report is made of: the output folders of evaluations, segmentations and trainings, seen from their files."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..data.results import REPORT
from ..digest import sha256
from ..metrics.case_scores import BACKGROUND
from ..metrics.interval import mean_of_known
from ..metrics.score_files import CASES, SCORES
from .curves import EVENTS, Curve, read_curves

PROGRESS, MODEL, SETTINGS = "progress.png", "model.pt", "model.yaml"  # of a training
EXPECTED = (
    f"expected {SCORES} with {CASES} (noise2mask evaluate), {REPORT} (noise2mask segment), or events of TensorBoard "
    "(noise2mask train)"
)
COUNTS = ("tp", "fp", "fn")
COUNTED = ("images", "with_lesion", "patients", "lesions_missed", "false_masks", "hd95_left_out")
WORST = "dice_worst"  # of an image with several structures
WORDS = ("image", "patient", "group_by", "structure", "hd95_unit")  # columns of cases.csv that hold no number


class Case(NamedTuple):
    """One image, or volume."""

    image: str  # its path, as the results have it
    patient: str  # whose it is, or its group; empty: not known
    group_by: str  # what that is: patient, group, or image
    numbers: dict[str, float]  # by name, NaN where there is none; of several structures their mean
    structures: dict[str, dict[str, float]]  # the same of each; none of a single one
    notes: list[str]  # what somebody who looks through the cases has to know


class Results(NamedTuple):
    """An evaluation, which has labels, or a segmentation, which has none."""

    folder: Path
    labelled: bool
    facts: dict[str, Any]  # SCORES, or REPORT without its cases
    unit: str  # of HD95: pixel, mm, or both
    cases: list[Case]


class Training(NamedTuple):
    """A training's folder."""

    folder: Path
    curves: dict[str, Curve]
    picture: bytes | None  # PROGRESS
    settings: str  # SETTINGS; empty where it is missing
    weights: str  # digest of MODEL, the best of it; empty where it is missing


def read_sources(folders: Sequence[Path]) -> tuple[Results | None, list[Training]]:
    """What some folders hold: the cases of one at most, and any number of trainings.

    Raises:
        ValueError: where one holds nothing that is known, two hold cases (or one those of two commands), or
            a file is damaged; it names it.
    """
    trainings = [training for folder in folders if (training := _training(folder)) is not None]
    results = [found for folder in folders if (found := _results(folder)) is not None]
    known = {*(training.folder for training in trainings), *(found.folder for found in results)}
    for folder in folders:
        if folder not in known:
            raise ValueError(f"{folder} {_found(folder)}; {EXPECTED}: give one of these folders.")
    if len(results) > 1:
        both = f"{results[0].folder} and {results[1].folder}"
        raise ValueError(f"{both} both hold cases, expected one of them in a page: make a report of each.")
    return (results[0] if results else None), trainings


def _found(folder: Path) -> str:
    """What there is in place of results, in words."""
    if not folder.is_dir():
        return "is a file" if folder.exists() else "does not exist"
    names = sorted(path.name for path in folder.iterdir())
    return f"holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else "is empty"


def _training(folder: Path) -> Training | None:
    picture, settings = folder / PROGRESS, folder / SETTINGS
    if not picture.is_file() and not list(folder.glob(EVENTS)):
        return None
    words = settings.read_text(encoding="utf-8", errors="replace") if settings.is_file() else ""
    content = picture.read_bytes() if picture.is_file() else None
    return Training(folder, read_curves(folder), content, words, sha256(folder / MODEL))


def _results(folder: Path) -> Results | None:
    path = folder / REPORT
    if (folder / SCORES).is_file() and path.is_file():
        both = f"{folder} holds {SCORES} of an evaluation and {REPORT} of a segmentation"
        raise ValueError(f"{both}, expected one of them: evaluate and segment into folders of their own.")
    if (folder / SCORES).is_file():
        return _evaluation(folder)
    report = _read_json(path) if path.is_file() else {}
    if "cases" not in report:  # one of generated images has none
        return None
    try:
        cases = [_segmented(case) for case in report.pop("cases")]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no report of noise2mask segment ({error!r}): segment again.") from error
    return Results(folder, False, report, "", cases)


def _evaluation(folder: Path) -> Results:
    scores, path = _read_json(folder / SCORES), folder / CASES
    if not path.is_file():
        raise ValueError(f"{path} does not exist, but {SCORES} beside it does: evaluate again.")
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("structure") != BACKGROUND]
    try:
        images: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            images.setdefault(row["image"], []).append(row)
        cases = [_scored(own) for own in images.values()]
        _check_scores(scores)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is no output of noise2mask evaluate ({error!r}): evaluate again.") from error
    units = sorted({row["hd95_unit"] for row in rows})
    return Results(folder, True, scores, " and ".join(units), cases)


def _check_scores(scores: Mapping[str, Any]) -> None:
    """See that there is what every evaluation has, and the page relies on: a KeyError names what is missing."""
    for part in (scores, *scores.get("structures", {}).values()):
        means, _, counts, _ = (part[name] for name in ("means", "intervals", "counts", "policy"))
        for own, names in ((means, ("dice", "iou", "hd95")), (counts, COUNTED)):
            missing = [name for name in names if name not in own]
            if missing:
                raise KeyError(missing[0])


def _scored(rows: Sequence[Mapping[str, str]]) -> Case:
    """Of an image's lines in CASES."""
    first, lines = rows[0], [_numbers(row) for row in rows]
    named = {row["structure"]: line for row, line in zip(rows, lines, strict=True)} if "structure" in first else {}
    numbers = {name: mean_of_known(line[name] for line in lines) for name in lines[0]}
    numbers |= {name: sum(line[name] for line in lines) for name in (*COUNTS, "mask_pixels", "label_pixels")}
    numbers |= {WORST: min(line["dice"] for line in lines)} if len(named) > 1 else {}
    notes = [note for name, line in (named or {"": lines[0]}).items() if (note := _mistake(name, line))]
    notes += ["trained on: its scores say nothing"] if numbers.get("trained_on") == 1 else []
    unit = first.get("group_by", "patient")
    return Case(first["image"], first["patient"] if unit != "image" else "", unit, numbers, named, notes)


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    numbers = {name: float(text) if text else math.nan for name, text in row.items() if name not in WORDS}
    mask, label = numbers["tp"] + numbers["fp"], numbers["tp"] + numbers["fn"]
    return numbers | {"mask_pixels": mask, "label_pixels": label}


def _mistake(structure: str, line: Mapping[str, float]) -> str:
    """The two mistakes that a mean hides."""
    if line["label_pixels"] and not line["tp"]:
        return f"missed {structure}".strip()
    return f"false mask {structure}".strip() if line["mask_pixels"] and not line["label_pixels"] else ""


def _segmented(case: Mapping[str, Any]) -> Case:
    """Of an entry of REPORT."""
    structures = {name: _plain(own) for name, own in case.get("structures", {}).items()}
    notes = ["no mask"] if not case["pixels"] else []
    notes += [str(case["warning"])] if "warning" in case else []
    numbers = _plain(case) | {"triage": float(case["triage"])}
    return Case(str(case["image"]), "", "image", numbers, structures, notes)


def _plain(case: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in case.items() if isinstance(value, int | float)}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is no JSON ({error}): make the results again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected names and values: make the results again.")
    return content
