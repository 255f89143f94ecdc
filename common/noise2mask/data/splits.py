"""Splits of a data set into training, validation and testing, always by whole groups.

A group is what must stay together: a patient, or near-duplicates of one picture, or a single image where no more is
known. `busi_split` is the rule of the paper PGDiffSeg: in each class, in natural order of the file names, the first
int(0.7 n) train, those up to int(0.8 n) validate, the rest test; of BUSI's 133 / 437 / 210 images 93/13/27, 305/44/88
and 147/21/42, in all the 545/78/157 that the paper reports.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "FRACTIONS", "GROUPS", "IN_MANIFESTS", "KEYS", "busi_split", "cut", "group_by_of", "natural", "patient_of",
    "split_groups", "split_training", "torn_patients",
]  # fmt: skip

GROUPS = ("patient", "group", "image")  # what must stay together, by what is known
KEYS = ("training", "validation", "testing")
IN_MANIFESTS = dict(zip(KEYS, ("train", "val", "test"), strict=True))  # what a manifest's column `split` calls them
FRACTIONS = (0.7, 0.1, 0.2)


def split_groups(groups: Iterable[str], seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> dict[str, str]:
    """Give every group one of KEYS at random; depends on the names and the seed, not on their order."""
    names = sorted(set(groups), key=natural)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    return {name: key for key, part in zip(KEYS, cut(order, fractions), strict=True) for name in part}


def split_training(groups: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Give every group of a data set whose test images stand apart "training" or "validation" at random, 7 to 1."""
    train, validation, _ = FRACTIONS
    return split_groups(groups, seed, (train / (train + validation), validation / (train + validation), 0.0))


def cut(order: list, fractions: Sequence[float] = FRACTIONS) -> list[list]:
    """Cut a list into three by fractions, rounded down; none that is wanted stays empty while there are enough."""
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions are {tuple(fractions)}, expected three numbers of at least 0 with sum 1")
    ends = [0, *(int(len(order) * total + 1e-6) for total in np.cumsum(fractions))]
    counts = [ends[i + 1] - ends[i] for i in range(3)]
    wanted = [i for i in range(3) if fractions[i] > 0]
    for i in wanted if len(order) >= len(wanted) else ():
        if counts[i] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    first, second = counts[0], counts[0] + counts[1]
    return [order[:first], order[first:second], order[second:]]


def busi_split(stems: Iterable[str]) -> dict[str, str]:
    """PGDiffSeg's split of stems such as "benign (1)" or "benign_001"."""
    kinds: dict[str, list[str]] = {}
    for stem in sorted(stems, key=natural):
        kinds.setdefault(re.split(r"\d", stem)[0], []).append(stem)
    parts = (cut_exactly(members) for members in kinds.values())
    return {stem: key for part in parts for key, members in zip(KEYS, part, strict=True) for stem in members}


def cut_exactly(order: list) -> list[list]:
    """int(0.7 n), int(0.8 n), in whole numbers."""
    first, second = len(order) * 7 // 10, len(order) * 8 // 10
    return [order[:first], order[first:second], order[second:]]


def natural(name: str) -> list[tuple]:
    """Sort key in which 2 comes before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def patient_of(item: Mapping[str, Any]) -> Any:
    """Whom an item belongs to; None where it does not say. Patient 0 is a patient."""
    patient = item.get("patient")
    return None if patient == "" else patient


def group_by_of(item: Mapping[str, Any]) -> str:
    """What an item stands for in means: "patient", "group" (of near-duplicates) or "image", as its datalist says."""
    return "image" if patient_of(item) is None else str(item.get("group_by", "patient"))


def torn_patients(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Patients that stand in several sections."""
    found: dict[str, list[str]] = {}
    for name, items in sections.items():
        for patient in dict.fromkeys(str(item["patient"]) for item in items if patient_of(item) is not None):
            found.setdefault(patient, []).append(name)
    return [
        f"patient {patient} is in several splits ({', '.join(names)}); expected one: move all images of the patient."
        for patient, names in found.items()
        if len(names) > 1
    ]
