"""Overlap scores on four pixels, and the policy for empty masks."""

import pytest
import torch

from noise2mask.metrics.overlap import Counts, count, overlap, pooled

LABEL = torch.tensor([[1, 1], [0, 0]])
MASK = torch.tensor([[1, 0], [1, 0]])
EMPTY = torch.zeros(2, 2, dtype=torch.int64)


def test_pixels_are_counted():
    assert count(MASK, LABEL) == Counts(tp=1, fp=1, fn=1)
    assert count(MASK.bool(), LABEL.float()) == count(MASK.bool(), LABEL.bool()) == (1, 1, 1)


def test_scores_of_four_pixels():
    assert overlap(Counts(1, 1, 1)) == {"dice": 0.5, "iou": pytest.approx(1 / 3), "precision": 0.5, "recall": 0.5}
    assert overlap(Counts(2, 0, 1)) == {
        "dice": pytest.approx(0.8),
        "iou": pytest.approx(2 / 3),
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
    }


def test_an_empty_mask_of_an_empty_label_counts_1_and_one_of_them_alone_0():
    assert set(overlap(count(EMPTY, EMPTY)).values()) == {1.0}
    assert set(overlap(count(EMPTY, LABEL)).values()) == {0.0}
    assert set(overlap(count(MASK, EMPTY)).values()) == {0.0}


def test_mask_and_label_change_places_in_precision_and_recall_alone():
    one, two = overlap(Counts(3, 2, 1)), overlap(Counts(3, 1, 2))
    assert (one["dice"], one["iou"], one["precision"]) == (two["dice"], two["iou"], two["recall"])


def test_flipping_and_turning_change_nothing():
    torch.manual_seed(0)
    mask, label = torch.rand(2, 6, 6) > 0.5
    for change in (lambda x: x.flip(0), lambda x: x.T, lambda x: x.rot90()):
        assert count(change(mask), change(label)) == count(mask, label)


def test_pooled_scores_are_those_of_all_pixels_together():
    cases = [Counts(1, 1, 1), Counts(0, 0, 0), Counts(5, 0, 2)]
    expected = {**overlap(Counts(6, 1, 3)), "false_negative_rate": 0.3, "false_positive_rate": 0.1}
    assert pooled(cases) == pytest.approx(expected)


def test_pooled_scores_of_nothing_are_perfect():
    assert pooled([Counts(0, 0, 0)]) == {
        "dice": 1.0,
        "iou": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "false_negative_rate": 0.0,
        "false_positive_rate": 0.0,
    }


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\), the label \(2, 3\)"):
        count(MASK, torch.zeros(2, 3))
