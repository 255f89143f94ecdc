"""How sure a model is, and whether it is right to be: maps of a case, and two diagrams of all cases.

Legend: N samples, H W size; a volume is shown by the slice with most of the mask.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..data.results import STD_WHITE
from ..files import atomic_file, write_text_atomically
from ..metrics.score_files import csv_text
from .case_file import UNLABELLED, CaseRecord, case_path, read_case
from .colours import colour_of
from .sampling import picture, shown_slice
from .seen import names_of

LABEL, SAMPLE = "#ffffff", colour_of(1)  # contours
SCORES, CASES = "scores.json", "cases.csv"


class UncertaintyFigures:
    """Per case `uncertainty_<name>.png`, from `cases/<name>.npz`; for all `uncertainty.csv`.

    Where the folder holds the scores of an evaluation, also `reliability.png` (is a probability of 0.7 right in 7 of 10
    pixels?) and `triage.png` (has the case that is to be looked at first the least Dice?), each with its CSV.

    Args:
        items:      with `image`, whose cases have been kept.
        output_dir: where they are, and where the figures go.
        labelled:   there are scores.

    Raises:
        ValueError: by `run`, where a case is missing.
    """

    def __init__(self, items: Sequence[Mapping[str, Any]], output_dir: str, labelled: bool = False) -> None:
        self.names = list(names_of(items).values())
        self.folder, self.labelled = Path(output_dir), labelled

    def run(self) -> list[dict[str, Any]]:
        """Draw, write; the rows of the table."""
        rows = []
        for name in self.names:
            whole = read_case(case_path(self.folder, name))
            write_uncertainty(name, shown_slice(whole), self.folder / f"uncertainty_{name}.png")
            rows.append({"case": name, "triage": whole.facts["triage"], **_means(whole)})
        write_text_atomically(csv_text(rows), self.folder / "uncertainty.csv")
        if self.labelled:
            scores = json.loads((self.folder / SCORES).read_text(encoding="utf-8"))
            write_reliability(scores["calibration"], self.folder / "reliability.png")
            with open(self.folder / CASES, encoding="utf-8", newline="") as file:
                write_triage(list(csv.DictReader(file)), self.folder / "triage.png")
        return rows


def _means(record: CaseRecord) -> dict[str, float]:
    """Over all pixels that are kept: standard deviation, part of the largest entropy, where samples disagree."""
    disagree = (record.samples != record.samples[:1]).any(axis=0)
    return {
        "std_mean": float(record.std.mean()) / 255 * STD_WHITE,
        "entropy_mean": float(record.entropy.mean()) / 255,
        "samples_disagree": float(disagree.mean()),
    }


def write_uncertainty(name: str, record: CaseRecord, path: Path) -> Path:
    """Image, samples as contours, mean, standard deviation, entropy of one slice, side by side."""
    figure = Figure(figsize=(14, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 5)
    count, label = len(record.samples), "" if record.label is None else ", label white"
    titles = ["image", f"contours of {count} samples{label}", "mean of the samples", "standard deviation", "entropy"]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    for axis in axes[:2]:
        axis.imshow(picture(record), cmap="gray", vmin=0, vmax=1)
    for sample in record.samples:
        _contour(axes[1], sample > 0, SAMPLE, 0.8)
    if record.label is not None:
        _contour(axes[1], (record.label > 0) & (record.label != UNLABELLED), LABEL, 1.2)
    maps = ((record.probability / 255, "viridis", 1.0), (record.std / 255 * STD_WHITE, "magma", STD_WHITE))
    for axis, (values, colours, most) in zip(axes[2:], (*maps, (record.entropy / 255, "magma", 1.0)), strict=True):
        figure.colorbar(axis.imshow(values, cmap=colours, vmin=0, vmax=most), ax=axis, shrink=0.8)
    figure.suptitle(f"{name}   triage {record.facts['triage']:.3f} (0: the samples agree)", fontsize=9)
    return _saved(figure, path)


def write_reliability(calibration: Mapping[str, Any], path: Path) -> Path:
    """Part of the pixels whose label is 1 against their probability, in bins; the pixels of each bin below.

    Args:
        calibration: of scores.json, of each bin its `pixels`, the sum of their `probability`, and the number of them
            whose `label` is 1.
        path:        of the PNG; the CSV stands beside it.
    """
    bins = zip(*(calibration[name] for name in ("pixels", "probability", "label")), strict=True)
    rows = [{"pixels": n, "probability": p / n, "frequency": y / n} for n, p, y in bins if n]
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], linestyle="--", color="gray", label="perfectly calibrated")
    x = [row["probability"] for row in rows]
    above.plot(x, [row["frequency"] for row in rows], marker="o", color=colour_of(5), label="this model")
    above.set(ylabel="part of the pixels that are of the structure", xlim=(0, 1), ylim=(0, 1))
    above.legend(fontsize=8)
    below.bar(x, [row["pixels"] for row in rows], width=0.06, color=colour_of(5), log=True)
    below.set(xlabel="probability", ylabel="pixels")
    write_text_atomically(csv_text(rows), path.with_suffix(".csv"))
    return _saved(figure, path)


def write_triage(cases: Sequence[Mapping[str, str]], path: Path) -> Path:
    """True Dice against the triage number, a mark per case (of several structures the mean of its Dice).

    Args:
        cases: of cases.csv, with `image`, `dice` and `triage`.
        path:  of the PNG; the CSV stands beside it.
    """
    images = dict.fromkeys(case["image"] for case in cases)
    rows: list[dict[str, Any]] = []
    for image in images:
        own = [case for case in cases if case["image"] == image]
        rows.append({"image": image, "triage": float(own[0]["triage"]), "dice": _mean(case["dice"] for case in own)})
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([row["triage"] for row in rows], [row["dice"] for row in rows], "o", color=colour_of(5), markersize=4)
    axes.set(xlabel="triage number (0: the samples agree)", ylabel="Dice with the label", ylim=(-0.03, 1.03))
    write_text_atomically(csv_text(rows), path.with_suffix(".csv"))
    return _saved(figure, path)


def _mean(values: Any) -> float:
    return float(np.mean([float(value) for value in values]))


def _contour(axis: Axes, mask: np.ndarray, colour: str, width: float) -> None:
    """Of a mask (H, W) that is neither empty nor full."""
    if mask.any() and not mask.all():
        axis.contour(mask, levels=[0.5], colors=colour, linewidths=width)


def _saved(figure: Figure, path: Path) -> Path:
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
    return path
