"""The maximum mean discrepancy: against the kernel itself, none between sets of one law, and more than means."""

import pytest
import torch

from noise2mask.metrics.mean_discrepancy import FourierFeatures, mean_discrepancy


def normal(rows, width, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_products_of_fourier_features_are_the_gaussian_kernel():
    rows = normal(20, 3)
    mapped = FourierFeatures(3, 1.5)(rows)
    kernel = torch.exp(-torch.cdist(rows, rows).square() / (2 * 1.5**2))
    assert torch.allclose(mapped @ mapped.T, kernel, atol=0.08)
    assert torch.allclose((mapped * mapped).sum(dim=1), torch.ones(20, dtype=torch.float64))


def test_it_is_the_estimate_of_the_paper():
    generated, real = normal(30, 2, 1) + 1, normal(30, 2, 2)
    width = torch.pdist(real).median()
    inside = sum(torch.exp(-torch.pdist(own).square() / (2 * width**2)).mean() for own in (generated, real))
    between = torch.exp(-torch.cdist(generated, real).square() / (2 * width**2)).mean()
    assert mean_discrepancy(generated, real) == pytest.approx(float(inside - 2 * between), abs=0.02)


def test_sets_of_one_law_differ_by_nothing_on_average_and_another_spread_is_seen():
    same = [mean_discrepancy(normal(40, 5, seed), normal(40, 5, 100 + seed)) for seed in range(20)]
    assert abs(sum(same) / 20) < 0.005 and min(same) < 0 < max(same)
    assert mean_discrepancy(3 * normal(40, 5, 1), normal(40, 5, 2)) > 5 * max(same)


def test_it_is_the_same_every_time_and_knows_no_unit():
    generated, real = normal(9, 4, 1), normal(9, 4, 2)
    assert mean_discrepancy(generated, real) == mean_discrepancy(generated, real)
    assert mean_discrepancy(100 * generated, 100 * real) == pytest.approx(mean_discrepancy(generated, real))


@pytest.mark.parametrize(
    "generated, real, found",
    [
        (normal(3, 4), normal(2, 4), r"shapes \(3, 4\) and \(2, 4\), expected \(N, F\) twice"),
        (normal(1, 4), normal(1, 4), "N at least 2: take equally many"),
        (normal(3, 4), torch.ones(3, 4), "Most real images have the same features"),
        (torch.full((3, 4), torch.inf), normal(3, 4), "not finite"),
    ],
)
def test_sets_that_can_not_be_compared_are_refused(generated, real, found):
    with pytest.raises(ValueError, match=found):
        mean_discrepancy(generated, real)
