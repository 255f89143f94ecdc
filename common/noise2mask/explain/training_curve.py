"""How a validation score rose over a training, and whether it was still rising when the training ended.

Networks are compared at equal time. One that is still becoming better then is not at its best, and a difference from it
says nothing of the method: a card says "not converged" and claims nothing. Nor does it where a training was stopped
before its schedule had ended: while the learning rate is high, a curve may be flat and rise again when it falls.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..handlers.checkpoint import finished
from ..handlers.epoch_log import PRIOR_SECONDS, SECONDS
from ..metrics.table import markdown, number
from ..report.curves import read_scalars
from .figure import save_figure
from .lines import look_of

# The tags of validation, and how much of the average before it a value leaves; that of nnU-Net is of few patches, so
# noisy that the best of many says little, and nnU-Net itself goes by its moving average.
SCORES = {"dice": 0.0, "pseudo_dice": 0.9}
LAST = 0.25  # of the last training's time: its end
FLAT = 0.005  # what a flat end may add to the best score before it
FEWEST = 4  # validations, from which an end can be told from what is before it
FLAT_AT_END, NOT_CONVERGED, STOPPED = "flat", "not converged", "stopped early"
UNKNOWN = "unknown"
SHOWN = (0.25, 0.5, 0.75, 1.0)  # parts of the time in a table


def training_curve(folders: Sequence[Path]) -> dict[str, Any]:
    """Validation score by minutes of training, of trainings that began with one another's weights, in their order.

    Args:
        folders: their output folders, with what they wrote for TensorBoard.

    Returns:
        `score` (the tag), and of each validation of the last training `minutes` (since the beginning of the first) and
        `values` (of nnU-Net their moving average); `begins`, the minute in which the last training began; `finished`,
        whether it ended as planned (None where its `last.pt` is gone); `total_minutes` of all.

    Raises:
        ValueError: where a folder has no score or no times, or its last.pt is damaged.
    """
    before, found = 0.0, dict[str, Any]()
    for folder in folders:
        begins = before
        scalars = read_scalars(folder)
        score = next((name for name in SCORES if name in scalars), None)
        times = {tag: dict(sorted(own.items())) for tag, own in scalars.items() if tag.endswith(SECONDS)}
        if score is None or not times:
            raise ValueError(
                f"{folder} has no curve of {' or '.join(SCORES)} with times, expected a training's folder."
            )
        before += sum(times.pop(PRIOR_SECONDS, {}).values())
        (main,) = times.values()  # of the phase that is validated
        clock = dict(zip(main, accumulate(main.values()), strict=True))
        steps = [step for step in sorted(scalars[score]) if step in clock]
        found = {"score": score, "begins": round(begins / 60, 2), "finished": finished(folder)}
        found |= {"minutes": [round((before + clock[step]) / 60, 2) for step in steps]}
        found["values"] = _averaged([scalars[score][step] for step in steps], SCORES[score])
        before += sum(main.values())
    return found | {"total_minutes": round(before / 60, 1)}


def _averaged(values: Sequence[float], kept: float) -> list[float]:
    """The moving average a_n = kept a_(n-1) + (1 - kept) v_n, from the first value on."""
    averages = accumulate(values, lambda average, value: kept * average + (1 - kept) * value)
    return [round(value, 4) for value in averages]


def gain_at_end(curve: Mapping[str, Any]) -> float:
    """By how much the last training's last quarter beat the best score before it; infinite where none tells."""
    minutes, values = _of_the_last(curve)
    end = minutes > (1 - LAST) * minutes.max() if len(minutes) else minutes
    if len(values) < FEWEST or end.all():
        return float("inf")
    return round(float(values[end].max() - values[~end].max()), 6)


def _of_the_last(curve: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Minutes since the last training began, and the scores then."""
    return np.array(curve["minutes"]) - curve["begins"], np.array(curve["values"])


def said_of_end(curve: Mapping[str, Any] | None) -> str:
    """In a table: flat, not converged, stopped early, or unknown where no curve was kept or no checkpoint told."""
    if curve is None:
        return UNKNOWN
    if gain_at_end(curve) > FLAT:
        return NOT_CONVERGED
    return {True: FLAT_AT_END, False: STOPPED, None: UNKNOWN}[curve["finished"]]


def curve_table(results: Sequence[Mapping[str, Any]]) -> str:
    """A row per kept result with a `training`: the best validation score at parts of its time, and how it ends."""
    parts = [f"best after {100 * part:.0f} % of the last training" for part in SHOWN]
    head = ["network", "minutes", "score of validation", *parts, "last quarter added", "at its end"]
    rows = []
    for result in results:
        curve = result["training"]
        minutes, values = _of_the_last(curve)
        best = [values[minutes <= part * minutes.max() + 1e-6] for part in SHOWN]
        bests = [number(own.max()) if len(own) else "-" for own in best]
        gain = gain_at_end(curve)
        added = "-" if np.isinf(gain) else f"{gain:+.3f}"
        name = curve["score"].replace("_", " ")
        rows.append([result["title"], f"{curve['total_minutes']:.0f}", name, *bests, added, said_of_end(curve)])
    return markdown(head, rows)


def write_training_curves(results: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """The curves of kept results in one figure, over minutes of training."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, result in enumerate(results):
        curve = result["training"]
        axes.plot(curve["minutes"], curve["values"], label=result["title"], **look_of(place))
    axes.set(xlabel="minutes of training", ylabel="score of validation")
    axes.legend(fontsize=8)
    return save_figure(figure, path)
