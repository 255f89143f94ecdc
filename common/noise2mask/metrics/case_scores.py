"""All scores of one image or volume, and what becomes of many of them.

Legend: N samples, A annotations, S spatial sizes.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from torch import Tensor

from ..data.structures import BACKGROUND  # the name that its lines have where it is scored, too
from .calibration import calibration_bins, expected_calibration_error
from .ensemble import generalised_energy_distance, sample_dice
from .expected_dice import expected_dice
from .hausdorff_distance import hausdorff_distance_95
from .interval import mean_of_known, of_all_together, over_patients, rank_correlation
from .overlap import Counts, count, overlap, pooled
from .policy import policy, unit_of

BINS = "calibration_bins"
LESION = ("dice", "iou", "precision", "recall")  # means over images with a lesion are given too, as <name>_lesion
MEANS = (*LESION, "hd95", "dice_best", "dice_mean", "energy_distance", "expected_calibration_error")


def case_scores(
    mask: Tensor,
    label: Tensor,
    probability: Tensor,
    samples: Tensor,
    annotations: Tensor | None = None,
    spacing: Sequence[float] | None = None,
    labelled: Tensor | None = None,
) -> dict[str, Any]:
    """Scores of one image.

    Args:
        mask:        (*S) in {0, 1}, what is scored.
        label:       (*S) in {0, 1}.
        probability: (*S) in [0, 1].
        samples:     (N, *S) in [0, 1], soft.
        annotations: (A, *S) in {0, 1}, of several annotators, or None.
        spacing:     mm along each axis, or None where it is not known.
        labelled:    (*S) bool, what counts: outside of it there is neither mask nor label; None: all.

    Returns:
        Numbers by name, and the bins of the calibration under `BINS`.

    Raises:
        ValueError: where shapes differ.
    """
    hard = samples > 0.5  # (N, *S)
    bins = calibration_bins(*(x if labelled is None else x[labelled] for x in (probability, label)))
    if labelled is not None:
        mask, label, hard = mask * labelled, label * labelled, hard & labelled
    counts = count(mask, label)
    scores: dict[str, Any] = {**overlap(counts), "hd95": hausdorff_distance_95(mask, label, spacing)}
    scores["hd95_unit"] = "pixel" if spacing is None else "mm"
    scores |= sample_dice(hard, label)
    if annotations is not None:
        scores["energy_distance"] = generalised_energy_distance(hard, annotations)
    scores["expected_calibration_error"] = expected_calibration_error(bins)
    scores["probability_triage"] = 1 - expected_dice(mask, probability if labelled is None else probability * labelled)
    return {**counts._asdict(), **scores, BINS: bins}


def summarise(cases: Sequence[Mapping[str, Any]], exclusive: bool = False) -> dict[str, Any]:
    """Means with intervals, pooled scores and calibration of cases that also hold `patient` and `triage`.

    Args:
        cases:     of `case_scores`; `group_by` says what `patient` is, a name of `policy.UNITS`, else a patient. Where
                   there are several structures each case has one, `structure`, and names its `image`: a score of an
                   image is then the mean over its structures.
        exclusive: how structures became masks, for the policy's words.

    Returns:
        `means` (over patients; the headline), `intervals` (95 %), `means_over_images`, `pooled` (all pixels of all
        images together) and `pooled_intervals` of its Dice and calibration error, `calibration`, `triage`, `counts`,
        `group_by` and `policy`; of several structures, `structures`: the same of each; and where the background has
        lines, too, `classes`: see `class_summary`. It is in nothing else.
    """
    structures = [case for case in cases if case.get("structure") != BACKGROUND]
    names = list(dict.fromkeys(case["structure"] for case in structures if "structure" in case))
    own = {name: _summary([case for case in structures if case["structure"] == name], exclusive) for name in names}
    classes = {"classes": class_summary(cases)} if len(structures) < len(cases) else {}
    return _summary(structures, exclusive) | ({"structures": own} if names else {}) | classes


def class_summary(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of all classes of an image together (DiffusionDCI, tables 5 and 6).

    Args:
        cases: of structures and of `BACKGROUND`, a line each per image.

    Returns:
        `pooled` (all pixels of all images together, of the classes that any image or mask has), `means` (over patients,
        of each image's) and their `intervals`: `dice`, `iou`, `precision` and `recall`, means over the structures; the
        same `_with_background`; `accuracy`, the part of all labelled pixels that have their class.
    """
    images = _by_image(cases)
    names = [case["structure"] for case in next(iter(images.values()))]
    pooled = {name: [c for c in cases if c["structure"] == name] for name in names}
    there = {name: own for name, own in pooled.items() if any(line[key] for line in own for key in Counts._fields)}
    whole = [_all_classes(there)]
    each = [_all_classes({case["structure"]: [case] for case in own}) for own in images.values()]
    patients = [own[0]["patient"] for own in images.values()]
    over = {name: over_patients([one[name] for one in each], patients) for name in whole[0]}
    return {
        "pooled": whole[0],
        "means": {name: value.mean for name, value in over.items()},
        "intervals": {name: [value.low, value.high] for name, value in over.items()},
    }


def _all_classes(lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Of the pixels of each class's lines together."""
    counts = {name: Counts(*(sum(line[key] for line in own) for key in Counts._fields)) for name, own in lines.items()}
    scores = {name: overlap(own) for name, own in counts.items()}
    of = {"": [name for name in scores if name != BACKGROUND], "_with_background": list(scores)}
    means = {
        f"{score}{end}": mean_of_known([scores[name][score] for name in own])
        for score in LESION
        for end, own in of.items()
    }
    labelled = sum(own.tp + own.fn for own in counts.values())
    return means | {"accuracy": sum(own.tp for own in counts.values()) / labelled if labelled else float("nan")}


def _summary(cases: Sequence[Mapping[str, Any]], exclusive: bool) -> dict[str, Any]:
    """Of one structure, or of all together."""
    images = _by_image(cases)
    firsts = [own[0] for own in images.values()]
    columns, unit = _columns(images), unit_of(case.get("group_by", "patient") for case in firsts)
    patients = [case["patient"] for case in firsts]
    over = {name: over_patients(values, patients) for name, values in columns.items()}
    by_probability = [
        mean_of_known([case.get("probability_triage", np.nan) for case in own]) for own in images.values()
    ]
    triage = [case["triage"] for case in firsts]
    bins = sum(case[BINS] for case in cases)
    left_out = sum(bool(np.isnan(case["hd95"])) for case in cases)
    return {
        "means": {name: value.mean for name, value in over.items()},
        "intervals": {name: [value.low, value.high] for name, value in over.items()},
        "means_over_images": {name: mean_of_known(values) for name, values in columns.items()},
        "pooled": {
            **pooled(Counts(*(case[name] for name in Counts._fields)) for case in cases),
            "expected_calibration_error": expected_calibration_error(bins),
        },
        "pooled_intervals": _pooled_intervals(cases),
        "calibration": {name: row.tolist() for name, row in zip(("pixels", "probability", "label"), bins, strict=True)},
        "triage": _triage({"": triage, "probability_": by_probability}, columns, patients),
        "counts": {
            "images": len(images),
            "with_lesion": sum(any(map(_has_lesion, own)) for own in images.values()),
            "patients": len(set(patients)),
            "lesions_missed": sum(_has_lesion(case) and case["tp"] == 0 for case in cases),
            "false_masks": sum(not _has_lesion(case) and case["fp"] > 0 for case in cases),
            "hd95_left_out": left_out,
        },
        "group_by": unit,
        "policy": policy(unit, structures="structure" in cases[0], exclusive=exclusive),
    }


def _pooled_intervals(cases: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Of scores of all pixels together, as patients are drawn."""
    patients = [case["patient"] for case in cases]
    counts = [np.array([case[name] for name in Counts._fields]) for case in cases]
    dice = of_all_together(counts, patients, lambda total: overlap(Counts(*total.tolist()))["dice"])
    calibration = of_all_together([case[BINS] for case in cases], patients, expected_calibration_error)
    return {"dice": list(dice), "expected_calibration_error": list(calibration)}


def _by_image(cases: Sequence[Mapping[str, Any]]) -> dict[Any, list[Mapping[str, Any]]]:
    """The structures of each image; a case that is of no structure is an image of its own."""
    images: dict[Any, list[Mapping[str, Any]]] = {}
    for number, case in enumerate(cases):
        images.setdefault(case["image"] if "structure" in case else number, []).append(case)
    return images


def _columns(images: Mapping[Any, Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """Values by name and image, the mean over its structures, NaN where it has none.

    <name>_lesion leaves out what has no lesion. Where some HD95 are in mm and others in pixels there is nothing to
    average: all of it is NaN.
    """
    cases = [case for own in images.values() for case in own]
    names = [name for name in MEANS if any(name in case for case in cases)]
    columns = {
        name: [mean_of_known([case.get(name, np.nan) for case in own]) for own in images.values()] for name in names
    }
    if len({case["hd95_unit"] for case in cases}) > 1:
        columns["hd95"] = [np.nan] * len(images)
    for name in LESION:
        columns[f"{name}_lesion"] = [
            mean_of_known([case[name] for case in own if _has_lesion(case)]) for own in images.values()
        ]
    return columns


def _has_lesion(case: Mapping[str, Any]) -> bool:
    return bool(case["tp"] + case["fn"])


def _triage(
    doubts: Mapping[str, Sequence[float]], columns: Mapping[str, Sequence[float]], patients: Sequence[str]
) -> dict[str, float | list[float]]:
    """Spearman's rho of numbers of doubt with Dice: -1 where the most doubtful images are the worst ones.

    Also with Dice of the images with a lesion alone: that of an image without one is 0 or 1, and such images can decide
    the number.
    """
    found: dict[str, float | list[float]] = {}
    for (name, doubt), dice in product(doubts.items(), ("dice", "dice_lesion")):
        rho, score = rank_correlation(doubt, columns[dice], patients), f"{name}spearman_with_{dice}"
        found |= {score: rho.mean, f"{score}_interval": [rho.low, rho.high]}
    return found
