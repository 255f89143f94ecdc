"""Scores of a mask against a label that follow from counted pixels.

Policy: an empty label and an empty mask count 1, only one of them empty counts 0, in every score.

Legend: A label, B mask, TP = |A and B|, FP = |B less A|, FN = |A less B|.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Counts(NamedTuple):
    """Pixels, or voxels."""

    tp: int
    fp: int
    fn: int


def count(mask: Tensor | np.ndarray, label: Tensor | np.ndarray) -> Counts:
    """Mask and label, each (...) in {0, 1} -> counts.

    Raises:
        ValueError: where their shapes differ.
    """
    if mask.shape != label.shape:
        found = f"the mask has shape {tuple(mask.shape)}, the label {tuple(label.shape)}"
        raise ValueError(f"{found}; they must agree: replace the label by one of the image's size.")
    # MONAI's get_confusion_matrix adds in float32, which is not exact above 2^24 voxels, and takes no bool.
    a, b = label > 0, mask > 0  # (...) twice
    return Counts(tp=int((a & b).sum()), fp=int((b & ~a).sum()), fn=int((a & ~b).sum()))


def overlap(counts: Counts) -> dict[str, float]:
    """`dice` 2TP/(2TP+FP+FN), `iou` TP/(TP+FP+FN), `precision` TP/(TP+FP), `recall` TP/(TP+FN)."""
    tp, fp, fn = counts
    if tp + fp + fn == 0:
        return dict.fromkeys(("dice", "iou", "precision", "recall"), 1.0)
    parts = {"dice": (2 * tp, 2 * tp + fp + fn), "iou": (tp, tp + fp + fn)}
    parts |= {"precision": (tp, tp + fp), "recall": (tp, tp + fn)}
    return {name: over / under if under else 0.0 for name, (over, under) in parts.items()}


def dice_of(mask: Tensor | np.ndarray, label: Tensor | np.ndarray) -> float:
    """Dice of a mask against a label, each (...) in {0, 1}.

    Raises:
        ValueError: where their shapes differ.
    """
    return overlap(count(mask, label))["dice"]


def pooled(cases: Iterable[Counts]) -> dict[str, float]:
    """The scores of all pixels of all images together ("global" in PGDiffSeg), and its error rates.

    Returns:
        As `overlap`, and `false_negative_rate` FN/|A or B| and `false_positive_rate` FP/|A or B|, both 0 where there
        is neither label nor mask.
    """
    tp, fp, fn = (sum(values) for values in zip(*cases, strict=True))
    union = max(1, tp + fp + fn)
    return {**overlap(Counts(tp, fp, fn)), "false_negative_rate": fn / union, "false_positive_rate": fp / union}
