"""The Frechet distance: hand values, MONAI's where MONAI's works, and few rows."""

import pytest
import torch
from monai.metrics import FIDMetric

from noise2mask.metrics.frechet_distance import frechet_distance


def normal(rows, width, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_in_one_dimension_it_is_the_difference_of_means_and_of_standard_deviations():
    first, second = torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0], [7.0]])  # variances 2 and 4
    assert frechet_distance(first, second) == pytest.approx((1 - 5) ** 2 + (2**0.5 - 2) ** 2)


def test_independent_features_add_up():
    first, second = torch.tensor([[0.0, 0], [2, 0], [0, 2], [2, 2]]), torch.tensor([[0.0, 0], [4, 0], [0, 6], [4, 6]])
    spread = (4 / 3) ** 0.5  # of the values 0, 0, 2, 2
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + spread**2 * (1 + 4))


# SciPy will make `sqrtm(disp=...)` go, on which MONAI relies: another oracle is then needed.
@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_it_is_monais_where_there_are_many_rows():
    first, second = normal(300, 6) @ normal(6, 6, 1), normal(200, 6, 2) @ normal(6, 6, 3) + 1
    assert frechet_distance(first, second) == pytest.approx(float(FIDMetric()(first, second)), rel=1e-6)


@pytest.mark.parametrize("rows", [5, 300])
def test_the_same_set_in_another_order_has_no_distance(rows):
    features = 100 * normal(rows, 20)
    assert frechet_distance(features, features.flip(0)) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("rows", [(4, 7), (4, 200), (200, 300)])
def test_a_rotation_of_both_changes_nothing_even_with_fewer_rows_than_features(rows):
    first, second = (normal(count, 30, count) for count in rows)
    rotation = torch.linalg.qr(normal(30, 30, 1)).Q
    assert frechet_distance(first @ rotation, second @ rotation) == pytest.approx(frechet_distance(first, second))
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second))


def test_more_rows_of_the_same_law_come_closer():
    few, many = (frechet_distance(normal(rows, 16, 1), normal(rows, 16, 2)) for rows in (20, 2000))
    assert many < few / 10


def test_features_that_are_constant_differ_by_their_means():
    assert frechet_distance(torch.zeros(3, 4), torch.ones(2, 4)) == pytest.approx(4)


@pytest.mark.parametrize(
    "first, found",
    [
        (torch.zeros(1, 4), "1 rows of features, expected at least 2"),
        (torch.zeros(3, 5), r"shapes \(3, 5\) and \(6, 4\), expected \(N, F\) and \(M, F\)"),
        (torch.zeros(4), "use one extractor for both"),
        (torch.full((3, 4), torch.nan), "not finite, expected numbers"),
    ],
)
def test_what_has_no_distance_is_refused(first, found):
    with pytest.raises(ValueError, match=found):
        frechet_distance(first, torch.zeros(6, 4))
