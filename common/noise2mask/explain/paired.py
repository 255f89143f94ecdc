"""Two results on the same images, compared image by image: over all of them, and in groups of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics.interval import Interval, mean_of_known, over_patients
from ..metrics.table import markdown, number

QUARTERS = ("smallest", "second", "third", "largest")

# patient (number), dice, hd95 (None where there is none), area (pixels or voxels; 0: no lesion), triage, kind or None,
# and, of several structures, the number of its image
Case = Mapping[str, Any]


def dice(case: Case) -> float:
    """A case's Dice."""
    return float(case["dice"])


def iou(case: Case) -> float:
    """Intersection over union, D / (2 - D)."""
    return dice(case) / (2 - dice(case))


def hd95(case: Case) -> float:
    """A case's HD95; NaN where it has none."""
    distance = case.get("hd95")
    return math.nan if distance is None else float(distance)


def of_a_lesion(case: Case) -> bool:
    """Whether its label is not empty."""
    return bool(case["area"] > 0)


def same_images(result: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both were scored on images of the same names, of the same patients."""
    patients = [[case["patient"] for case in one["cases"]] for one in (result, other)]
    return result["images"] == other["images"] and patients[0] == patients[1]


def difference(
    result: Mapping[str, Any],
    first: Mapping[str, Any],
    score: Callable[[Case], float] = dice,
    of: Callable[[Case], bool] = lambda case: True,
    digits: int = 3,
) -> str:
    """Mean difference of a score, result minus first, with its interval: narrower than both intervals let expect.

    Args:
        result: as `card.kept` makes it, of the same images as the first.
        first:  the same.
        score:  of a case; where one of the two is NaN, the case does not count.
        of:     which cases count.
        digits: of the words.
    """
    pairs = [(a, b) for a, b in zip(result["cases"], first["cases"], strict=True) if of(a)]
    return _signed(_over_patients([score(a) - score(b) for a, b in pairs], [a for a, _ in pairs]), digits)


def subgroup_table(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """A row per group of images: without a lesion, lesions in quarters by area, and by kind where that is known.

    Of several structures, each of each image is counted, and quarters are of their volume.

    Args:
        first:  as `card.kept` makes it.
        second: the same.

    Raises:
        ValueError: where the two are not of the same images.
    """
    if not same_images(first, second):
        raise ValueError(f"{first['title']!r} and {second['title']!r} are of other images, expected the same.")
    several = "structures" in first
    head = ["structures" if several else "images", "how many", first["title"], second["title"], "second minus first"]
    rows = []
    for name, places in groups(first["cases"], several).items():
        chosen = [{**result, "cases": [result["cases"][place] for place in places]} for result in (first, second)]
        means = [number(_over_patients([case["dice"] for case in one["cases"]], one["cases"]).mean) for one in chosen]
        rows.append([name, str(len(places)), *means, difference(chosen[1], chosen[0])])
    return markdown(head, rows)


def groups(cases: Sequence[Case], several: bool = False) -> dict[str, list[int]]:
    """Places of the cases of each group, by its name; quarters hold equally many, by rank; no group is empty.

    Args:
        cases:   as `card.kept` makes them.
        several: each is a structure of an image, not a lesion.
    """
    them, size = ("structures", "size") if several else ("lesions", "area")
    lesions = [place for place, case in enumerate(cases) if case["area"] > 0]
    nothing = "absent structures" if several else "without a lesion"
    found = {nothing: [place for place, case in enumerate(cases) if case["area"] == 0]}
    by_area = np.array(sorted(lesions, key=lambda place: cases[place]["area"]), dtype=int)
    for name, quarter in zip(QUARTERS, np.array_split(by_area, len(QUARTERS)), strict=True):
        span = " to ".join(str(cases[place]["area"]) for place in [*quarter[:1], *quarter[-1:]])
        found[f"{them}, {name} quarter ({size} {span})"] = quarter.tolist()
    for kind in sorted({cases[place]["kind"] for place in lesions} - {None}):
        found[f"{them}, {kind}"] = [place for place in lesions if cases[place]["kind"] == kind]
    return {name: places for name, places in found.items() if places}


def _over_patients(values: Sequence[float], cases: Sequence[Case]) -> Interval:
    """Over the structures of each image first."""
    images: dict[Any, list[float]] = {}
    patients: dict[Any, str] = {}
    for place, (value, case) in enumerate(zip(values, cases, strict=True)):
        image = case.get("image", place)
        images.setdefault(image, []).append(value)
        patients[image] = str(case["patient"])
    return over_patients([mean_of_known(own) for own in images.values()], [patients[image] for image in images])


def _signed(found: Interval, digits: int) -> str:
    """+0.100 (+0.050 to +0.150); the mean alone where it has no interval."""
    if math.isnan(found.mean):
        return "-"
    mean, low, high = (f"{value:+.{digits}f}" for value in found[:3])
    return mean if math.isnan(found.low) else f"{mean} ({low} to {high})"
