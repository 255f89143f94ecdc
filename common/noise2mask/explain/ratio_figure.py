"""Figure 6 of DiffusionDCI: Dice and IoU against the part of the generated tiles that was added to the real ones."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .colours import colour_of
from .figure import save_figure

SHOWN = {"dice": "Dice", "iou": "IoU"}
MARKERS = ("o", "s")  # of each score: told apart without colours, too


def write_ratio_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Means with standard deviations over the runs, and every run as a small mark.

    Args:
        rows: with `ratio`, `dice` and `iou`, one per training.
        path: of the PNG.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    ratios = list(dict.fromkeys(row["ratio"] for row in rows))
    for number, (name, title) in enumerate(SHOWN.items()):
        found = [mean_and_deviation([row for row in rows if row["ratio"] == ratio], name) for ratio in ratios]
        means, deviations = [mean for mean, _ in found], [deviation or 0.0 for _, deviation in found]
        colour, marker = colour_of(5 + number), MARKERS[number]
        axes.errorbar(ratios, means, deviations, label=title, capsize=4, color=colour, marker=marker)
        single = [row["ratio"] for row in rows], [row[name] for row in rows]
        axes.plot(*single, linestyle="", markersize=3, color=colour, marker=marker)
    axes.set(xlabel="part of the generated tiles, in percent", ylabel="on real tiles, mean over their patients")
    axes.legend()
    return save_figure(figure, path, dpi=120)


def mean_and_deviation(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float | None]:
    """Of a score over some runs, the deviation that of the sample; None of a single run."""
    values = [row[name] for row in rows]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
