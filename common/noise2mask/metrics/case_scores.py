"""All scores of one image or volume, and what becomes of many of them.

Legend: N samples, A annotations, S spatial sizes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from .calibration import calibration_bins, expected_calibration_error
from .ensemble import generalised_energy_distance, sample_dice
from .hausdorff_distance import hausdorff_distance_95
from .interval import over_patients
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
) -> dict[str, Any]:
    """Scores of one image.

    Args:
        mask:        (*S) in {0, 1}, what is scored.
        label:       (*S) in {0, 1}.
        probability: (*S) in [0, 1].
        samples:     (N, *S) in [0, 1], soft.
        annotations: (A, *S) in {0, 1}, of several annotators, or None.
        spacing:     mm along each axis, or None where it is not known.

    Returns:
        Numbers by name, and the bins of the calibration under `BINS`.

    Raises:
        ValueError: where shapes differ.
    """
    counts, hard = count(mask, label), samples > 0.5  # (N, *S)
    bins = calibration_bins(probability, label)
    scores: dict[str, Any] = {**overlap(counts), "hd95": hausdorff_distance_95(mask, label, spacing)}
    scores["hd95_unit"] = "pixel" if spacing is None else "mm"
    scores |= sample_dice(hard, label)
    if annotations is not None:
        scores["energy_distance"] = generalised_energy_distance(hard, annotations)
    scores["expected_calibration_error"] = expected_calibration_error(bins)
    return {**counts._asdict(), **scores, BINS: bins}


def summarise(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means with intervals, pooled scores and calibration of cases that also hold `patient` and `triage`.

    Args:
        cases: of `case_scores`; `group_by` says what `patient` is, a name of `policy.UNITS`, else a patient.

    Returns:
        `means` (over patients; the headline), `intervals` (95 %), `means_over_images`, `pooled`, `calibration`,
        `triage`, `counts`, `group_by` and `policy`.
    """
    columns, unit = _columns(cases), unit_of(case.get("group_by", "patient") for case in cases)
    patients = [case["patient"] for case in cases]
    over = {name: over_patients(values, patients) for name, values in columns.items()}
    bins = sum(case[BINS] for case in cases)
    left_out = sum(bool(np.isnan(case["hd95"])) for case in cases)
    return {
        "means": {name: value.mean for name, value in over.items()},
        "intervals": {name: [value.low, value.high] for name, value in over.items()},
        "means_over_images": {name: _mean(values) for name, values in columns.items()},
        "pooled": {
            **pooled(Counts(*(case[name] for name in Counts._fields)) for case in cases),
            "expected_calibration_error": expected_calibration_error(bins),
        },
        "calibration": {name: row.tolist() for name, row in zip(("pixels", "probability", "label"), bins, strict=True)},
        "triage": {"spearman_with_dice": _rank_correlation([case["triage"] for case in cases], columns["dice"])},
        "counts": {
            "images": len(cases),
            "with_lesion": sum(_has_lesion(case) for case in cases),
            "patients": len(set(patients)),
            "lesions_missed": sum(_has_lesion(case) and case["tp"] == 0 for case in cases),
            "false_masks": sum(not _has_lesion(case) and case["fp"] > 0 for case in cases),
            "hd95_left_out": left_out,
        },
        "group_by": unit,
        "policy": policy(unit),
    }


def _columns(cases: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Values by name, NaN where a case has none; <name>_lesion leaves out images without a lesion.

    Where some HD95 are in mm and others in pixels there is nothing to average: all of it is NaN.
    """
    columns = {name: [case.get(name, np.nan) for case in cases] for name in MEANS if any(name in c for c in cases)}
    if len({case["hd95_unit"] for case in cases}) > 1:
        columns["hd95"] = [np.nan] * len(cases)
    for name in LESION:
        columns[f"{name}_lesion"] = [case[name] if _has_lesion(case) else np.nan for case in cases]
    return columns


def _has_lesion(case: Mapping[str, Any]) -> bool:
    return bool(case["tp"] + case["fn"])


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _rank_correlation(triage: Sequence[float], dice: Sequence[float]) -> float:
    """Spearman's rho of the triage number with Dice: -1 where the most doubtful images are the worst ones."""
    if len(set(triage)) < 2 or len(set(dice)) < 2:
        return float("nan")
    return float(spearmanr(triage, dice).statistic)
