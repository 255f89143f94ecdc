"""Targets: what is predicted leads back to the clean mask."""

import pytest
import torch

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.target import KINDS, check_kind, split_variance, to_target, to_x0


def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 2, 4, 4, generator=generator, dtype=torch.float64).unbind()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [0, 300, 999])
def test_target_leads_back_to_x0(kind, t):
    x0, noise = pair()
    alpha, sigma = NoiseSchedule().alpha_sigma(t)
    prediction = to_target(kind, x0, noise, alpha, sigma)
    torch.testing.assert_close(to_x0(kind, prediction, alpha * x0 + sigma * noise, alpha, sigma), x0)


@pytest.mark.parametrize("kind", KINDS)
def test_target_leads_back_to_x0_with_a_time_per_image(kind):
    x0, noise = pair()
    alpha, sigma = NoiseSchedule().gather(torch.tensor([3, 400, 990]), x0)
    prediction = to_target(kind, x0, noise, alpha, sigma)
    torch.testing.assert_close(to_x0(kind, prediction, alpha * x0 + sigma * noise, alpha, sigma), x0)


def test_targets_by_hand():
    x0, noise = torch.tensor([2.0]), torch.tensor([5.0])
    assert to_target("epsilon", x0, noise, 0.6, 0.8).item() == 5
    assert to_target("x0", x0, noise, 0.6, 0.8).item() == 2
    assert to_target("v", x0, noise, 0.6, 0.8).item() == pytest.approx(0.6 * 5 - 0.8 * 2)


def test_clean_masks_by_hand():
    x_t, prediction = torch.tensor([5.2]), torch.tensor([5.0])
    assert to_x0("epsilon", prediction, x_t, 0.6, 0.8).item() == pytest.approx(2)
    assert to_x0("x0", prediction, x_t, 0.6, 0.8).item() == 5
    assert to_x0("v", prediction, x_t, 0.6, 0.8).item() == pytest.approx(0.6 * 5.2 - 0.8 * 5)


def test_unknown_kind_is_an_error_that_lists_the_known_ones():
    x = torch.zeros(1)
    for call in (lambda: check_kind("eps"), lambda: to_target("eps", x, x, 1.0, 0.0), lambda: to_x0("eps", x, x, 1, 0)):
        with pytest.raises(ValueError, match="'eps', expected one of epsilon, x0, v"):
            call()


def test_a_prediction_is_taken_apart_into_mask_and_fraction_of_the_variance():
    both = torch.arange(8.0).reshape(1, 4, 2, 1) - 5  # classes 0 and 1, then the places of their variances
    prediction, fraction = split_variance(both, classes=2)
    assert prediction.flatten().tolist() == [-5, -4, -3, -2] and fraction.flatten().tolist() == [0, 0.5, 1, 1.5]
    assert split_variance(both, classes=4)[0] is both and split_variance(both, classes=4)[1] is None


def test_other_numbers_of_channels_are_an_error_that_names_found_and_expected():
    for classes in (1, 3):
        with pytest.raises(ValueError, match=f"predicts 4 channels, expected {classes}, or {2 * classes} with"):
            split_variance(torch.zeros(1, 4, 2, 2), classes)
