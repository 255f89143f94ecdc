"""HD95 of points and boxes whose distances are known."""

import math

import pytest
import torch

from noise2mask.metrics.hausdorff_distance import hausdorff_distance_95


def point(row, column, size=12):
    mask = torch.zeros(size, size)
    mask[row, column] = 1
    return mask


def test_two_points_are_as_far_apart_as_pythagoras_says():
    assert hausdorff_distance_95(point(1, 1), point(4, 5)) == pytest.approx(5)


def test_spacing_stretches_each_axis():
    assert hausdorff_distance_95(point(1, 1), point(4, 1), (2.0, 0.5)) == pytest.approx(6)
    assert hausdorff_distance_95(point(1, 1), point(1, 5), (2.0, 0.5)) == pytest.approx(2)


def test_a_shifted_box_is_as_far_as_its_shift():
    box = torch.zeros(20, 20)
    box[4:12, 4:12] = 1
    assert hausdorff_distance_95(box, box.roll(3, 1)) == pytest.approx(3)
    assert hausdorff_distance_95(box, box) == 0


def test_it_is_the_same_both_ways():
    torch.manual_seed(0)
    a, b = (torch.rand(2, 16, 16) > 0.8).float()
    assert hausdorff_distance_95(a, b) == hausdorff_distance_95(b, a) > 0


def test_volumes_are_measured_in_space():
    a, b = torch.zeros(2, 8, 8, 8)
    a[1, 1, 1] = b[1, 1, 5] = 1
    assert hausdorff_distance_95(a, b, (1.0, 1.0, 2.5)) == pytest.approx(10)


@pytest.mark.parametrize("pair", [(0, 0), (0, 1), (1, 0)])
def test_an_empty_mask_or_label_has_no_outline(pair):
    masks = [point(1, 1) * factor for factor in pair]
    assert math.isnan(hausdorff_distance_95(*masks))
