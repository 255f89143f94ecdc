"""Two results on the same images, compared image by image: over all of them, and in groups of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics.interval import Interval, over_patients
from ..metrics.table import markdown, number

QUARTERS = ("smallest", "second", "third", "largest")

Case = Mapping[str, Any]  # patient (number), dice, area (pixels or voxels; 0: no lesion), triage and kind or None


def same_images(result: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both were scored on images of the same names, of the same patients."""
    patients = [[case["patient"] for case in one["cases"]] for one in (result, other)]
    return result["images"] == other["images"] and patients[0] == patients[1]


def difference(result: Mapping[str, Any], first: Mapping[str, Any], of: Callable[[Case], bool]) -> str:
    """Mean difference of Dice, result minus first, with its interval: narrower than both intervals let expect.

    Args:
        result: as `card.kept` makes it, of the same images as the first.
        first:  the same.
        of:     which cases count.
    """
    pairs = [(a, b) for a, b in zip(result["cases"], first["cases"], strict=True) if of(a)]
    return _signed(_over_patients([a["dice"] - b["dice"] for a, b in pairs], [a for a, _ in pairs]))


def subgroup_table(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """A row per group of images: without a lesion, lesions in quarters by area, and by kind where that is known.

    Args:
        first:  as `card.kept` makes it.
        second: the same.

    Raises:
        ValueError: where the two are not of the same images.
    """
    if not same_images(first, second):
        raise ValueError(f"{first['title']!r} and {second['title']!r} are of other images, expected the same.")
    head = ["images", "how many", first["title"], second["title"], "second minus first"]
    rows = []
    for name, places in groups(first["cases"]).items():
        chosen = [{**result, "cases": [result["cases"][place] for place in places]} for result in (first, second)]
        means = [number(_over_patients([case["dice"] for case in one["cases"]], one["cases"]).mean) for one in chosen]
        rows.append([name, str(len(places)), *means, difference(chosen[1], chosen[0], lambda case: True)])
    return markdown(head, rows)


def groups(cases: Sequence[Case]) -> dict[str, list[int]]:
    """Places of the cases of each group, by its name; quarters hold equally many, by rank; no group is empty."""
    lesions = [place for place, case in enumerate(cases) if case["area"] > 0]
    found = {"without a lesion": [place for place, case in enumerate(cases) if case["area"] == 0]}
    by_area = np.array(sorted(lesions, key=lambda place: cases[place]["area"]), dtype=int)
    for name, quarter in zip(QUARTERS, np.array_split(by_area, len(QUARTERS)), strict=True):
        span = " to ".join(str(cases[place]["area"]) for place in [*quarter[:1], *quarter[-1:]])
        found[f"lesions, {name} quarter (area {span})"] = quarter.tolist()
    for kind in sorted({cases[place]["kind"] for place in lesions} - {None}):
        found[f"lesions, {kind}"] = [place for place in lesions if cases[place]["kind"] == kind]
    return {name: places for name, places in found.items() if places}


def _over_patients(values: Sequence[float], cases: Sequence[Case]) -> Interval:
    return over_patients(values, [str(case["patient"]) for case in cases])


def _signed(found: Interval) -> str:
    """+0.100 (+0.050 to +0.150); the mean alone where it has no interval."""
    if math.isnan(found.mean):
        return "-"
    interval = "" if math.isnan(found.low) else f" ({found.low:+.3f} to {found.high:+.3f})"
    return f"{found.mean:+.3f}{interval}"
