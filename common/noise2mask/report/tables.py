"""The table of cases, and the cards and tables above it, from what was read.

Everything is words and numbers here; the page's template escapes them.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..metrics.policy import UNITS, short
from ..metrics.table import NAMES, number, with_interval
from .sources import WORST, Case, Results

SUMMARY = ("dice", "dice_lesion", "iou", "hd95")


class Column(NamedTuple):
    """A column of the table of cases."""

    key: str
    title: str
    digits: int
    factor: float = 1.0
    what: str = ""  # in a few words, where the title does not say it


SCORED = (
    Column("dice", "Dice", 3, what="1: mask and label are the same, 0: nothing in common"),
    Column("iou", "IoU", 3, what="overlap over union of mask and label"),
    Column("hd95", "HD95", 1, what="how far the outlines are apart, but for the worst 5 %"),
    Column("triage", "Triage", 3, what="how much the samples disagree: look at high ones first"),
    Column("mask_pixels", "Mask, pixels", 0),
    Column("label_pixels", "Label, pixels", 0),
)
SEGMENTED = (
    Column("triage", "Triage", 3, what="how much the samples disagree: look at high ones first"),
    Column("fraction", "Area, %", 2, 100, what="part of the picture that the mask has"),
    Column("volume_mm3", "Volume, mm³", 0),
    Column("probability_max", "Highest probability", 3),
    Column("std_mean", "Mean std", 4, what="standard deviation over the samples, mean over the pixels"),
    Column("entropy_mean", "Mean entropy", 4, what="in nats per pixel"),
)
MORE = {  # in the viewer alone
    "precision": Column("precision", "Precision", 3),
    "recall": Column("recall", "Recall", 3),
    "dice_best": Column("dice_best", "Dice, best sample", 3),
    "dice_mean": Column("dice_mean", "Dice, mean of the samples", 3),
    "expected_calibration_error": Column("expected_calibration_error", "Calibration error", 4),
    "agreement": Column("agreement", "Agreement of the samples", 3),
    "pixels": Column("pixels", "Mask, pixels", 0),
}


def columns_of(results: Results) -> list[Column]:
    """Those that any case has a number for; of several structures the Dice of each, too."""
    offered = list(SCORED if results.labelled else SEGMENTED)
    if results.labelled:
        names = dict.fromkeys(name for case in results.cases for name in case.structures)
        offered[1:1] = [Column(f"dice {name}", f"Dice {name}", 3) for name in names]
        offered[1:1] = [Column(WORST, "Dice, worst structure", 3)]
        offered = [c._replace(title=f"HD95, {results.unit}") if c.key == "hd95" else c for c in offered]
    return [c for c in offered if any(not math.isnan(value_of(case, c.key)) for case in results.cases)]


def value_of(case: Case, key: str) -> float:
    """A number of a case, or of one of its structures, such as "dice anterior"."""
    name, _, structure = key.partition(" ")
    numbers = case.structures.get(structure, {}) if structure else case.numbers
    return numbers.get(name, math.nan)


def cell(case: Case, column: Column) -> tuple[str, str]:
    """What a cell shows, and what it is sorted by; nothing where there is no number."""
    value = value_of(case, column.key)
    return ("-", "") if math.isnan(value) else (number(value * column.factor, column.digits), repr(value))


def worst_first(results: Results) -> list[int]:
    """Numbers of the cases: with labels the lowest Dice first, without the highest triage number.

    Of several structures the worst one's: one that is missed hides in the mean of many.
    """
    triage = [-_or(value_of(case, "triage"), -1.0) for case in results.cases]
    dice = [_worst(case) if results.labelled else 0.0 for case in results.cases]
    return sorted(range(len(results.cases)), key=lambda i: (dice[i], triage[i], i))


def _worst(case: Case) -> float:
    return case.numbers.get(WORST, _or(value_of(case, "dice"), 2.0))


def uncertain_first(results: Results) -> list[int]:
    """Numbers of the cases, the highest triage number first."""
    return sorted(range(len(results.cases)), key=lambda i: (-_or(value_of(results.cases[i], "triage"), -1.0), i))


def pictured_first(results: Results) -> list[int]:
    """Numbers of the cases by who needs a picture most: the worst and the most uncertain in turns."""
    turns = (i for pair in zip(worst_first(results), uncertain_first(results), strict=True) for i in pair)
    return list(dict.fromkeys(turns))


def short_names(images: Sequence[str]) -> list[str]:
    """The file's name, with as many folders before it as tell it from the others."""
    names = [Path(image).parts for image in images]
    lengths = [1] * len(names)
    for _ in range(max(map(len, names), default=0)):
        count = Counter(own[-n:] for own, n in zip(names, lengths, strict=True))
        lengths = [n + (count[own[-n:]] > 1 and n < len(own)) for own, n in zip(names, lengths, strict=True)]
    return ["/".join(own[-n:]) or "-" for own, n in zip(names, lengths, strict=True)]


def details(case: Case, columns: Sequence[Column]) -> dict[str, Any]:
    """The numbers of a case in the viewer: a column of all, and one of each structure."""
    known = [c for c in columns if c.key != WORST and not c.key.startswith("dice ")]
    shown = [c for c in (*known, *MORE.values()) if c.key in case.numbers]
    parts = [case.numbers, *case.structures.values()]
    rows = [[c.title, *(_cell(own.get(c.key, math.nan), c) for own in parts)] for c in shown]
    head = ["", "all structures", *case.structures] if case.structures else []
    return {"head": head, "rows": rows}


def _cell(value: float, column: Column) -> str:
    return "-" if math.isnan(value) else number(value * column.factor, column.digits)


def _or(value: float, other: float) -> float:
    return other if math.isnan(value) else value


# Above the table


def summary_cards(scores: Mapping[str, Any], unit: str) -> list[dict[str, str]]:
    """The headline: a mean and its interval each."""
    cards = []
    for name in SUMMARY:
        if name in scores["means"]:
            low, high = scores["intervals"][name]
            interval = "" if low is None else f"{number(low)} to {number(high)}"
            end = f", {unit}" if name == "hd95" else ""
            mean = number(scores["means"][name], 1 if name == "hd95" else 3)
            interval = f"{number(low, 1)} to {number(high, 1)}" if interval and name == "hd95" else interval
            cards.append({"title": NAMES[name] + end, "value": mean, "interval": interval})
    return cards


def structure_table(scores: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """A row of each structure; none of a single one. What no image has has no scores: nothing found in nothing is 1."""
    own = scores.get("structures", {})
    head = ["Structure", "images with it", "Dice", "IoU", f"HD95, {unit}", "missed", "false masks"]
    rows = []
    for name, part in own.items():
        counts, keys = part["counts"], ("dice", "iou", "hd95")
        there = counts["with_lesion"] > 0
        means = [with_interval(part["means"][key], *part["intervals"][key]) if there else "-" for key in keys]
        numbers = [str(counts[key]) for key in ("with_lesion", "lesions_missed", "false_masks")]
        rows.append([name, numbers[0], *means, *numbers[1:]])
    return {"head": head, "rows": rows}


def counted(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many of what, in words."""
    counts, unit = scores["counts"], scores.get("group_by", "patient")
    shown = [("images", counts["images"])]
    shown += [(short(unit), counts["patients"])] if unit != "image" else []
    shown += [("with a lesion or structure", counts["with_lesion"]), ("missed", counts["lesions_missed"])]
    shown += [("false masks", counts["false_masks"]), ("left out of HD95", counts["hd95_left_out"])]
    shown += [("trained on", counts["trained_on"])] if "trained_on" in counts else []
    return [(name, str(value)) for name, value in shown]


def selection(facts: Mapping[str, Any], images: int) -> bool:
    """Whether `noise2mask explain` took some images of a set alone: there were as many as it takes."""
    most = str((facts.get("config") or {}).get("most_cases"))
    return most.isdecimal() and images >= int(most)


def over(scores: Mapping[str, Any]) -> str:
    """What the means are over."""
    return UNITS[scores.get("group_by", "patient")]
