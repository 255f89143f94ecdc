"""Expected calibration error by hand."""

import numpy as np
import pytest
import torch

from noise2mask.metrics.calibration import calibration_bins, expected_calibration_error


def error(probability, label):
    return expected_calibration_error(calibration_bins(torch.tensor(probability), torch.tensor(label)))


def test_four_pixels_in_two_bins():
    # bin 0.2: two pixels of 0.25, none is foreground; bin 0.9: two of 0.95, one is
    assert error([[0.25, 0.25], [0.95, 0.95]], [[0.0, 0.0], [1.0, 0.0]]) == pytest.approx(0.5 * 0.25 + 0.5 * 0.45)


def test_certain_and_right_costs_nothing_certain_and_wrong_everything():
    assert error([0.0, 1.0], [0.0, 1.0]) == 0
    assert error([0.0, 1.0], [1.0, 0.0]) == pytest.approx(1)


def test_a_fair_coin_is_calibrated_at_one_half():
    assert error([0.5] * 10, [0.0, 1.0] * 5) == pytest.approx(0, abs=1e-6)


def test_bins_of_images_add_up():
    torch.manual_seed(0)
    probability, label = torch.rand(2, 8, 8), (torch.rand(2, 8, 8) > 0.5).float()
    parts = sum(calibration_bins(p, t) for p, t in zip(probability, label, strict=True))
    whole = calibration_bins(probability, label)
    assert np.allclose(parts, whole, atol=1e-4) and whole[0].sum() == 128
    assert expected_calibration_error(parts) == pytest.approx(expected_calibration_error(whole), abs=1e-6)


def test_sums_of_large_volumes_are_exact():
    bins = calibration_bins(torch.full((2**24 + 4,), 0.25), torch.zeros(2**24 + 4))
    assert bins[0, 2] == 2**24 + 4 and bins[1, 2] == (2**24 + 4) / 4


def test_probabilities_that_are_frequencies_are_calibrated():
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(400_000, generator=generator)
    label = (torch.rand(400_000, generator=generator) < probability).float()
    assert expected_calibration_error(calibration_bins(probability, label)) < 0.005
