"""Scores of samples and the distance of their spread from that of several annotators, by hand."""

import pytest
import torch

from noise2mask.metrics.ensemble import generalised_energy_distance, sample_dice

A = torch.tensor([[1, 1], [0, 0]])
B = torch.tensor([[1, 0], [0, 0]])  # IoU with A 1/2, Dice 2/3
EMPTY = torch.zeros(2, 2, dtype=torch.int64)


def test_best_and_mean_of_the_samples():
    assert sample_dice(torch.stack([A, B, EMPTY]), A) == pytest.approx({"dice_best": 1, "dice_mean": (1 + 2 / 3) / 3})


def test_empty_samples_of_an_empty_label_are_right():
    assert sample_dice(torch.stack([EMPTY, A]), EMPTY) == {"dice_best": 1.0, "dice_mean": 0.5}


def test_one_sample_against_one_annotation_is_twice_their_distance():
    assert generalised_energy_distance(A[None], B[None]) == pytest.approx(2 * 0.5)


def test_two_samples_against_two_annotations():
    # between: d(A,A) d(A,B) d(B,A) d(B,B) = 0 .5 .5 0, within and among the same
    assert generalised_energy_distance(torch.stack([A, B]), torch.stack([B, A])) == pytest.approx(0)
    # A twice against A and B: between .25, within 0, among .25
    assert generalised_energy_distance(torch.stack([A, A]), torch.stack([A, B])) == pytest.approx(0.25)


def test_two_empty_masks_are_equal_and_an_empty_one_is_far_from_any_other():
    assert generalised_energy_distance(EMPTY[None], EMPTY[None]) == 0
    assert generalised_energy_distance(EMPTY[None], A[None]) == pytest.approx(2)


def test_it_is_symmetric_and_never_negative():
    torch.manual_seed(0)
    for _ in range(20):
        a, b = (torch.rand(4, 3, 3) > 0.5).int(), (torch.rand(3, 3, 3) > 0.5).int()
        distance = generalised_energy_distance(a, b)
        assert distance == pytest.approx(generalised_energy_distance(b, a)) and distance >= -1e-9
