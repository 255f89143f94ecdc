"""Means over patients with their interval.

Images of one patient are not independent: they are averaged first, and the bootstrap draws patients.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and its 95 % interval; NaN where there is nothing to average, no interval from a single patient."""

    mean: float
    low: float
    high: float
    patients: int


def over_patients(values: Sequence[float], patients: Sequence[str]) -> Interval:
    """Mean over each patient's images, then over patients, with a percentile bootstrap interval over patients.

    Args:
        values:   one per image; NaN leaves the image out.
        patients: whose image it is.
    """
    by_patient: dict[str, list[float]] = {}
    for value, patient in zip(values, patients, strict=True):
        if not np.isnan(value):
            by_patient.setdefault(patient, []).append(value)
    means = np.array([np.mean(own) for own in by_patient.values()])
    if len(means) < 2:
        mean = float(means.mean()) if len(means) else float("nan")
        return Interval(mean, float("nan"), float("nan"), len(means))
    drawn = bootstrap(
        (means,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=0
    ).confidence_interval
    return Interval(float(means.mean()), float(drawn.low), float(drawn.high), len(means))
