"""What experts have written on the sheets of an expert study, against its key (DiffusionDCI, "Expert assessment").

An expert says of every tile which class it shows, whether it is real or synthetic, and how sure that is, from 1 to 5.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from ..data.problems import refuse
from ..files import write_text_atomically
from ..metrics.interval import over_patients
from ..metrics.score_files import without_nan
from ..metrics.table import markdown
from .read_table import read_table

KINDS = ("real", "synthetic")
KIND = "real_or_synthetic"
ANSWERS = ("class", KIND, "confidence")
SHEET = ("id", *ANSWERS)
KEY = ("id", "class", KIND, "file")
CONFIDENCE = ("1", "2", "3", "4", "5")
SCORES = ("class_real", "class_synthetic", KIND, "confidence")
PAPER = (  # table 4 of DiffusionDCI: its five experts, in the order of SCORES
    (0.74, 0.76, 0.645, 2.5),
    (0.76, 0.78, 0.705, 2.8),
    (0.82, 0.78, 0.715, 3.1),
    (0.69, 0.72, 0.625, 2.4),
    (0.72, 0.75, 0.675, 2.4),
)
GUESSING = 0.5
INTERVAL = (
    "the interval is that of real or synthetic: 95 %, bootstrap over the tiles, which all experts share; where it "
    "holds 50 %, real and synthetic are not told apart"
)


class Answer(NamedTuple):
    """Of a tile: what a sheet says, or the key, which knows no confidence."""

    shown: str  # class
    kind: str  # one of KINDS
    confidence: int = 0


# Reading


def read_key(path: Path) -> dict[str, Answer]:
    """The right answers, by id.

    Raises:
        ValueError: where it is no key; it names the file.
    """
    key, problems = {}, []
    for line, row in read_table(path, KEY, "the key of an expert study"):
        if row[KIND] not in KINDS or not row["class"] or row["id"] in key:
            found = f"{row['id']!r}, {row['class']!r}, {row[KIND]!r}"
            problems.append(f"line {line} has {found}; expected an id of its own, a class, real or synthetic.")
        key[row["id"]] = Answer(row["class"], row[KIND])
    if missing := [kind for kind in KINDS if kind not in {answer.kind for answer in key.values()}]:
        problems.append(f"it has no {' and no '.join(missing)} tile; expected both kinds.")
    refuse(f"the key {path} can not be used, export the study again", problems)
    return key


def read_sheets(paths: Sequence[Path], key: Mapping[str, Answer]) -> dict[str, dict[str, Answer]]:
    """Answers by expert, who is called as the sheet's file is, and by id.

    Raises:
        ValueError: with all problems of all sheets: missing and unknown ids, words and numbers that are not asked for,
            what is not filled in.
    """
    sheets: dict[str, dict[str, Answer]] = {}
    problems: list[str] = []
    for path in paths:
        name = path.stem if [other.stem for other in paths].count(path.stem) == 1 else str(path)
        if name in sheets:
            problems.append(f"{path} is given twice; expected a sheet of each expert: leave one out.")
        sheets[name] = {}
        try:
            rows = read_table(path, SHEET, "a score sheet")
        except ValueError as error:
            problems.append(str(error))
            continue
        problems += [f"{path}{problem}" for problem in _read_sheet(rows, key, sheets[name])]
    refuse("the sheets can not be scored", problems)
    return sheets


def _read_sheet(
    rows: Sequence[tuple[int, Mapping[str, str]]], key: Mapping[str, Answer], answers: dict[str, Answer]
) -> Iterator[str]:
    """Add the answers of a sheet; what is wrong with it."""
    ids = {_number(own): own for own in key}
    words = _words(key)
    said = {name: f"expected {' or '.join(own.values())}" for name, own in words.items()}
    empty: dict[str, list[int]] = {name: [] for name in ANSWERS}
    for line, row in rows:
        own = ids.get(_number(row["id"]), "")
        if not own or own in answers:
            expected = "each id once" if own else f"the ids of the key, {min(key)} to {max(key)}"
            yield f", line {line}: id {row['id']!r}; expected {expected}: correct it, or remove the line."
            continue
        found = {name: words[name].get(row[name].casefold(), "") for name in ANSWERS}
        for name in (name for name in ANSWERS if not found[name]):
            if row[name]:
                yield f", line {line}: {name} is {row[name]!r}; {said[name]}: correct it."
            else:
                empty[name].append(line)
        answers[own] = Answer(found["class"], found[KIND], int(found["confidence"] or 0))
    for name, lines in empty.items():
        if lines:
            yield f", {_several('line', lines)}: {name} is empty; {said[name]}: fill it in."
    if missing := [own for own in key if own not in answers]:
        yield f": {_several('id', missing)} missing; expected a line for every tile: add it."


def _words(key: Mapping[str, Answer]) -> dict[str, dict[str, str]]:
    """Of each column: the words that are asked for, without capitals -> as the key has them."""
    classes = sorted({answer.shown for answer in key.values()})
    return {
        name: {word.casefold(): word for word in words}
        for name, words in zip(ANSWERS, (classes, KINDS, CONFIDENCE), strict=True)
    }


def _number(own: str) -> str:
    """An id as a spreadsheet may save it: 001 is 1."""
    return own.lstrip("0")


def _several(what: str, values: Sequence[Any], most: int = 8) -> str:
    """Lines 3, 4, 5 ...: the first ones, and how many there are."""
    shown = ", ".join(map(str, values[:most]))
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"{what}{'s' if len(values) > 1 else ''} {shown}{more}"


# Scores


def scores_of(key: Mapping[str, Answer], sheets: Mapping[str, Mapping[str, Answer]]) -> dict[str, Any]:
    """Of every expert, and of all: `SCORES`, `interval` of real or synthetic, and whether it holds guessing.

    Accuracies are shares of tiles in [0, 1]; `class_real` and `class_synthetic` are those of the class.

    Args:
        key:    of `read_key`.
        sheets: of `read_sheets`.
    """
    experts = {name: _scores(key, [sheet]) for name, sheet in sheets.items()}
    tiles = {kind: sum(answer.kind == kind for answer in key.values()) for kind in KINDS}
    paper = [dict(zip(SCORES, own, strict=True)) for own in PAPER]
    return {
        "tiles": tiles,
        "experts": experts,
        "mean": _scores(key, list(sheets.values())),
        "interval": INTERVAL,
        "paper": {"experts": paper, "mean": {name: fmean(own[name] for own in paper) for name in SCORES}},
    }


def _scores(key: Mapping[str, Answer], sheets: Sequence[Mapping[str, Answer]]) -> dict[str, Any]:
    """Of some experts together: all have judged every tile, so that the mean over answers is that over experts."""
    pairs = [(own, right, sheet[own]) for sheet in sheets for own, right in key.items()]
    told = over_patients([float(a.kind == right.kind) for _, right, a in pairs], [own for own, _, _ in pairs])
    scores: dict[str, Any] = {
        f"class_{kind}": fmean(a.shown == right.shown for _, right, a in pairs if right.kind == kind) for kind in KINDS
    }
    scores |= {KIND: told.mean, "confidence": fmean(a.confidence for _, _, a in pairs)}
    return scores | {"interval": [told.low, told.high], "holds_guessing": told.low <= GUESSING <= told.high}


def expert_table(result: Mapping[str, Any]) -> str:
    """Table 4 of the paper, in per cent, with its own numbers below."""
    head = ["expert", "class, real", "class, synthetic", "real or synthetic", "95 % interval", "holds 50 %"]
    rows = [_row(name, own) for name, own in [*result["experts"].items(), ("mean", result["mean"])]]
    paper = enumerate(result["paper"]["experts"], start=1)
    rows += [_row(f"paper, {number}", own) for number, own in paper]
    rows.append(_row("paper, mean", result["paper"]["mean"]))
    tiles = " and ".join(f"{count} {kind}" for kind, count in result["tiles"].items())
    said = f"Accuracies in per cent, {tiles} tiles; {result['interval']}. Confidence from 1 to 5."
    return f"{markdown([*head, 'confidence'], rows)}\n\n{said} Paper: DiffusionDCI, table 4.\n"


def _row(name: str, own: Mapping[str, Any]) -> list[str]:
    shares = [f"{100 * own[score]:.1f}" for score in SCORES[:3]]
    low, high = own.get("interval", (math.nan, math.nan))
    holds = {True: "yes", False: "no"}.get(own.get("holds_guessing", ""), "-")
    interval = "-" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
    return [name, *shares, interval, holds, f"{own['confidence']:.2f}"]


def write_expert_scores(key: Path, sheets: Sequence[Path], folder: Path) -> str:
    """Write `expert_study.json` and `expert_study.md`.

    Returns:
        The table.
    """
    right = read_key(key)
    result = scores_of(right, read_sheets(sheets, right))
    table = expert_table(result)
    write_text_atomically(json.dumps(without_nan(result), indent=2) + "\n", folder / "expert_study.json")
    write_text_atomically(table, folder / "expert_study.md")
    return table
