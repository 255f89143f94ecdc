"""Means, rank correlations and scores of all pixels together, with their interval over patients.

Images of one patient are not independent: they are averaged first, and the bootstrap draws patients.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap, rankdata

RESAMPLES = 2000
FEWER_RESAMPLES = 1000  # of scores that are no means, which cost more
LEVEL = 0.95
PERCENTILES = (50 * (1 - LEVEL), 50 * (1 + LEVEL))


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


def of_all_together(
    parts: Sequence[np.ndarray], patients: Sequence[str], score: Callable[[np.ndarray], float]
) -> tuple[float, float]:
    """The percentile bootstrap interval over patients of a score of all images' pixels together.

    Args:
        parts:    of each image, what adds up over images, such as its counted pixels; of one shape.
        patients: whose image it is.
        score:    of their sum.

    Returns:
        Low and high; NaN from a single patient.
    """
    own: dict[str, np.ndarray] = {}
    for part, patient in zip(parts, patients, strict=True):
        own[patient] = own.get(patient, 0) + part
    if len(own) < 2:
        return float("nan"), float("nan")
    sums = np.stack(list(own.values()))  # (patients, *part)
    drawn = [score(sums[draw].sum(axis=0)) for draw in _draws(len(own))]
    low, high = np.percentile(drawn, PERCENTILES)
    return float(low), float(high)


def mean_of_known(values: Iterable[float]) -> float:
    """The mean without NaN; NaN where nothing else is there."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def rank_correlation(doubt: Sequence[float], score: Sequence[float], patients: Sequence[str]) -> Interval:
    """Spearman's rho over images, with a percentile bootstrap interval over patients.

    Args:
        doubt:    one per image; NaN leaves the image out.
        score:    the same.
        patients: whose image it is.

    Returns:
        NaN where all of one kind are alike, and no interval from a single patient; draws in which all are alike are
        left out.
    """
    known = [n for n, pair in enumerate(zip(doubt, score, strict=True)) if not np.isnan(pair).any()]
    pairs = np.array([[doubt[n], score[n]] for n in known]).reshape(-1, 2)
    names = np.array([patients[n] for n in known])
    own = [pairs[names == name] for name in dict.fromkeys(names)]
    rho = _spearman(pairs)
    if len(own) < 2 or np.isnan(rho):
        return Interval(rho, float("nan"), float("nan"), len(own))
    low, high = np.nanpercentile(_drawn(own), PERCENTILES)
    return Interval(rho, float(low), float(high), len(own))


def _drawn(own: Sequence[np.ndarray]) -> list[float]:
    """Rank correlations of the pairs of patients that are drawn with replacement."""
    return [_spearman(np.concatenate([own[place] for place in draw])) for draw in _draws(len(own))]


def _draws(patients: int) -> np.ndarray:
    """Which patients are drawn, with replacement: (FEWER_RESAMPLES, patients)."""
    return np.random.default_rng(0).integers(patients, size=(FEWER_RESAMPLES, patients))


def _spearman(pairs: np.ndarray) -> float:
    if len(pairs) < 2 or (pairs == pairs[0]).all(axis=0).any():
        return float("nan")
    return float(np.corrcoef(rankdata(pairs, axis=0), rowvar=False)[0, 1])
