"""The charts of an evaluation: whether its probabilities and its triage number can be taken at their word."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .charts import Axis, Mark, legend_mark, reliability, scatter, together
from .sources import Results


def score_charts(results: Results) -> list[dict[str, Any]]:
    """What the template needs of each: title, drawing, legend, words, and the same as a table."""
    bins = results.facts.get("calibration")
    calibration = [_calibration(bins, results.facts["pooled"]["expected_calibration_error"])] if bins else []
    return [*calibration, _triage(results)]


def _calibration(bins: Mapping[str, list[float]], error: float) -> dict[str, Any]:
    rows = [row for row in zip(bins["pixels"], bins["probability"], bins["label"], strict=True) if row[0]]
    xs, ys = [p / n for n, p, _ in rows], [label / n for n, _, label in rows]
    return {
        "title": "Is a probability of 0.7 right in 7 of 10 pixels?",
        "svg": reliability("Calibration", xs, ys, [f"{n:,.0f} pixels:" for n, _, _ in rows]),
        "legend": [],
        "words": f"All pixels of all images, in {len(bins['pixels'])} bins; on the dashed line the probabilities are "
        f"right, below it they are too high. Expected calibration error {error:.4f}.",
        "head": ["pixels", "mean probability", "part that is foreground"],
        "rows": [[f"{n:,.0f}", f"{x:.3f}", f"{y:.3f}"] for (n, _, _), x, y in zip(rows, xs, ys, strict=True)],
    }


def _triage(results: Results) -> dict[str, Any]:
    marks = _marks(results)
    x, y = Axis("triage number", 0, 1.05 * max([0.1, *(mark.x for mark in marks)])), Axis("Dice", 0, 1)
    rank = (results.facts.get("triage") or {}).get("spearman_with_dice")
    said = "no rank correlation: one of them never changes" if rank is None else f"rank correlation {rank:.2f}"
    hidden = len(marks) - len(together(x, y, marks))
    larger = f" A larger mark has the number of images at its place; {hidden} would lie on others." if hidden else ""
    return {
        "title": "Does the triage number find the bad masks?",
        "svg": scatter("Dice against triage number", x, y, marks),
        "legend": _legend(marks),
        "words": f"A mark for each image; {said}. -1: the most doubtful images are the worst ones; 0: it tells "
        "nothing. Marks at the lower left are wrong masks that all samples agree on: the number does not find these."
        + larger,
        "head": [],
        "rows": [],
    }


def _marks(results: Results) -> list[Mark]:
    """Of each image that has both numbers; without a lesion it is hollow."""
    marks = [
        Mark(
            case.numbers.get("triage", math.nan),
            case.numbers["dice"],
            Path(case.image).name,
            not case.numbers["label_pixels"],
        )
        for case in results.cases
    ]
    return [mark for mark in marks if not math.isnan(mark.x + mark.y)]


def _legend(marks: list[Mark]) -> list[tuple[Any, str]]:
    """None where all are of a kind."""
    words = {False: "with a lesion or structure", True: "without one"}
    kinds = sorted({mark.hollow for mark in marks})
    return [(legend_mark(kind), words[kind]) for kind in kinds] if kinds != [False] else []
