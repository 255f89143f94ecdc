"""Tempered probabilities, by hand."""

import pytest
import torch

from noise2mask.diffusion.temperature import check_temperature, tempered


def test_the_logit_is_divided_and_a_half_stays():
    p = torch.tensor([0.9, 0.5, 0.1]).view(1, 1, 3)
    assert tempered(p, 2.0).flatten().tolist() == pytest.approx([0.75, 0.5, 0.25])  # odds of 9 become 3


def test_a_temperature_of_one_changes_nothing():
    p = torch.rand(1, 2, 4)
    assert tempered(p, 1.0) is p


def test_no_pixel_changes_its_mask():
    p = torch.rand(2, 3, 50)
    exclusive = p / p.sum(dim=1, keepdim=True)
    assert torch.equal(tempered(p, 3.0) > 0.5, p > 0.5)
    assert torch.equal(tempered(exclusive, 3.0, True).argmax(dim=1), exclusive.argmax(dim=1))


def test_exclusive_classes_still_sum_to_one_and_odds_have_the_root():
    p = torch.tensor([0.8, 0.2, 0.0]).view(1, 3, 1)
    found = tempered(p, 2.0, True)
    assert found.sum() == pytest.approx(1) and found[0, 0] / found[0, 1] == pytest.approx(2)


def test_what_few_samples_agree_on_is_not_certain():
    assert tempered(torch.tensor([[[0.0, 1.0]]]), 2.0).flatten().tolist() == pytest.approx([0.0307, 0.9693], abs=1e-3)


def test_a_temperature_of_nothing_is_refused():
    with pytest.raises(ValueError, match="temperature is 0, expected more than 0"):
        check_temperature(0)
