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
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..data.results import STD_WHITE
from ..files import write_text_atomically
from ..metrics.score_files import CASES, SCORES, csv_text
from .case_file import CaseRecord, case_path, read_case
from .colours import colour_of
from .figure import save_figure
from .sampling import picture, shown_slice, where
from .seen import names_of
from .strip import pixel_of

LABEL = "#ffffff"  # of a single structure


class UncertaintyFigures:
    """Per case `uncertainty_<name>.png`, from `cases/<name>.npz`; for all `uncertainty.csv`.

    With labels, of which the folder then holds the scores, also `reliability.png` (is a probability of 0.7 right in 7
    of 10 pixels?) and `triage.png` (has the case that is to be looked at first the least Dice?), each with its CSV.

    Args:
        items:      with `image`, whose cases have been kept.
        cases_dir:  output folder of their evaluation.
        output_dir: where the figures go.
        labelled:   there are scores.

    Raises:
        ValueError: by `run`, where a case is missing.
    """

    def __init__(
        self, items: Sequence[Mapping[str, Any]], cases_dir: str, output_dir: str, labelled: bool = False
    ) -> None:
        self.names = list(names_of(items).values())
        self.cases, self.folder, self.labelled = Path(cases_dir), Path(output_dir), labelled

    def run(self) -> list[dict[str, Any]]:
        """Draw, write; the rows of the table."""
        rows = []
        for name in self.names:
            whole = read_case(case_path(self.cases, name))
            write_uncertainty(name, shown_slice(whole), self.folder / f"uncertainty_{name}.png")
            rows.append({"case": name, "triage": whole.facts["triage"], **_means(whole)})
        write_text_atomically(csv_text(rows), self.folder / "uncertainty.csv")
        if self.labelled:
            scores = json.loads((self.cases / SCORES).read_text(encoding="utf-8"))
            write_reliability(scores["calibration"], self.folder / "reliability.png")
            with open(self.cases / CASES, encoding="utf-8", newline="") as file:
                write_triage(list(csv.DictReader(file)), self.folder / "triage.png")
        return rows


def _means(record: CaseRecord) -> dict[str, float]:
    """Over all pixels that are kept: standard deviation, part of the largest entropy, where samples disagree."""
    disagree = (record.samples != record.samples[:1]).any(axis=0)
    return {
        "std_mean": float(record.std.mean()) / 255 * STD_WHITE,
        "entropy_part": float(record.entropy.mean()) / 255,
        "samples_disagree": float(disagree.mean()),
    }


def write_uncertainty(name: str, record: CaseRecord, path: Path) -> Path:
    """Image, masks, contours of the samples, and maps of one slice, side by side.

    Of several structures each has contours in its colour; the maps are of what `maps_words` says.
    """
    names = record.facts["structures"] or ["mask"]
    titles = ["image", "mask of all samples, label dashed", f"contours of the {len(record.samples)} samples"]
    figure = Figure(figsize=(18, 3.4), layout="constrained")
    axes, pixel = figure.subplots(1, 6), pixel_of(record.facts["spacing"])
    for axis, title in zip(axes, [*titles, *maps_words(names)], strict=True):
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()
    for axis in axes[:3]:
        axis.imshow(picture(record), cmap="gray", vmin=0, vmax=1, aspect=pixel)
    for number, _ in enumerate(names, start=1):
        _contour(axes[1], record.mask == number, colour_of(number), "solid")
        if record.label is not None:
            _contour(axes[1], record.label == number, LABEL if len(names) == 1 else colour_of(number), "dashed")
        for sample in record.samples:
            _contour(axes[2], sample == number, colour_of(number), "solid", 0.8)
    if len(names) > 1:
        lines = [Line2D([], [], color=colour_of(number), label=own) for number, own in enumerate(names, start=1)]
        axes[1].legend(handles=lines, fontsize=6, loc="lower right", framealpha=0.6)
    maps = ((record.probability / 255, "viridis", 1.0), (record.std / 255 * STD_WHITE, "magma", STD_WHITE))
    for axis, (values, colours, most) in zip(axes[3:], (*maps, (record.entropy / 255, "magma", 1.0)), strict=True):
        shown = axis.imshow(values, cmap=colours, vmin=0, vmax=most, aspect=pixel)
        figure.colorbar(shown, ax=axis, shrink=0.8)
    triage = f"triage {record.facts['triage']:.3f} (0: the samples agree)"
    said = triage if len(record.samples) > 1 else "one sample: nothing to compare, no triage number"
    figure.suptitle(f"{name}   {said}{where(record.facts)}", fontsize=9)
    return save_figure(figure, path)


def maps_words(names: Sequence[str]) -> list[str]:
    """What the three maps are of, where there is one structure, and where there are several."""
    if len(names) == 1:
        return ["probability", "standard deviation of the samples", "entropy, of the largest there can be"]
    several = ["probability of any structure", "standard deviation, of the most unsure class"]
    return [*several, "entropy of all classes, of the largest"]


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
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], linestyle="--", color="gray", label="perfectly calibrated")
    x = [row["probability"] for row in rows]
    above.plot(x, [row["frequency"] for row in rows], marker="o", color=colour_of(5), label="this model")
    above.set(ylabel="part of the pixels that are of the structure", xlim=(0, 1), ylim=(0, 1))
    above.legend(fontsize=8)
    below.bar(x, [row["pixels"] for row in rows], width=0.06, color=colour_of(5), log=True)
    below.set(xlabel="probability", ylabel="pixels")
    write_text_atomically(csv_text(rows), path.with_suffix(".csv"))
    return save_figure(figure, path)


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
    axes = figure.subplots()
    axes.plot([row["triage"] for row in rows], [row["dice"] for row in rows], "o", color=colour_of(5), markersize=4)
    axes.set(xlabel="triage number (0: the samples agree)", ylabel="Dice with the label", ylim=(-0.03, 1.03))
    axes.set_xlim(-0.02, max(0.2, 1.05 * max(row["triage"] for row in rows)))
    write_text_atomically(csv_text(rows), path.with_suffix(".csv"))
    return save_figure(figure, path)


def _mean(values: Any) -> float:
    return float(np.mean([float(value) for value in values]))


def _contour(axis: Axes, mask: np.ndarray, colour: str, style: str, width: float = 1.3) -> None:
    """Of a mask (H, W) that is neither empty nor full, with a dark edge, so that it is seen on any ground."""
    if mask.any() and not mask.all():
        axis.contour(mask, levels=[0.5], colors="black", linewidths=width + 1, linestyles=style, alpha=0.5)
        axis.contour(mask, levels=[0.5], colors=colour, linewidths=width, linestyles=style)
