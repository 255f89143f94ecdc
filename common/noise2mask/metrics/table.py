"""Scores as a Markdown table, with what they mean below it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

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
    """A row per score: mean over patients, 95 % interval, mean over images, pooled.

    Args:
        summary: of `summarise`.
        units:   of HD95 in the cases.
    """
    rows = []
    for name, title in NAMES.items():
        if name in summary["means"]:
            low, high = summary["intervals"][name]
            interval = "-" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
            unit = f" ({' and '.join(units)})" if name == "hd95" else ""
            numbers = [summary[part].get(name, math.nan) for part in ("means", "means_over_images", "pooled")]
            mean, images, pooled = ("-" if math.isnan(number) else f"{number:.3f}" for number in numbers)
            rows.append([title + unit, mean, interval, images, pooled])
    table = markdown(["score", "mean over patients", "95 % interval", "mean over images", "pooled"], rows)
    counts = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in summary["counts"].items())
    return f"{table}\n\n{counts}.\nPolicy: {summary['policy']}.\n"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of words."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
