"""Scores as a Markdown table, with what they mean below it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .policy import UNITS, short

NAMES = {
    "dice": "Dice",
    "dice_lesion": "Dice, lesion",
    "iou": "IoU",
    "iou_lesion": "IoU, lesion",
    "precision": "precision",
    "recall": "recall",
    "hd95": "HD95",
    "dice_mean": "Dice, mean of the samples",
    "dice_best": "Dice, best sample",
    "energy_distance": "generalised energy distance",
    "expected_calibration_error": "expected calibration error",
}


def score_table(summary: Mapping[str, Any], units: Sequence[str] = ("pixel",)) -> str:
    """A row per score: mean over patients (groups, images), 95 % interval, mean over images, pooled.

    Args:
        summary: of `summarise`; its structures get a table each, after that of all together.
        units:   of HD95 in the cases.
    """
    parts = {"": summary}
    if "structures" in summary:
        parts = {"All structures": summary, **summary["structures"]}
    tables = [f"{title}\n\n{_table(own, units)}".lstrip() for title, own in parts.items()]
    mixed = f"HD95 has no mean: it is in {' and '.join(units)}, see cases.csv.\n" if len(units) > 1 else ""
    return "\n\n".join(tables) + f"\n{mixed}Policy: {summary['policy']}.\n"


def _table(summary: Mapping[str, Any], units: Sequence[str]) -> str:
    """Scores of one structure, or of all, and what was counted."""
    rows = []
    for name, title in NAMES.items():
        if name in summary["means"]:
            low, high = summary["intervals"][name]
            interval = "-" if number(low) == "-" else f"{number(low)} to {number(high)}"
            unit = f" ({' and '.join(units)})" if name == "hd95" else ""
            parts = ("means", "means_over_images", "pooled")
            mean, images, pooled = (number(summary[part].get(name)) for part in parts)
            rows.append([title + unit, mean, interval, images, pooled])
    unit = summary["group_by"]
    table = markdown(["score", f"mean over {UNITS[unit]}", "95 % interval", "mean over images", "pooled"], rows)
    names = {"patients": short(unit)} if unit != "image" else {}
    shown = {name: value for name, value in summary["counts"].items() if unit != "image" or name != "patients"}
    counts = ", ".join(f"{names.get(name, name).replace('_', ' ')}: {value}" for name, value in shown.items())
    return f"{table}\n\n{counts}."


def number(value: float | None, digits: int = 3) -> str:
    """A number of a table; "-" where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_interval(mean: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """0.500 (0.400 to 0.600); the mean alone where it has no interval."""
    texts = [number(value, digits) for value in (mean, low, high)]
    return texts[0] if "-" in texts[1:] else f"{texts[0]} ({texts[1]} to {texts[2]})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of words."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
