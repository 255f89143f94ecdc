"""What a probability expects of its own mask, by hand."""

import pytest
import torch

from noise2mask.metrics.expected_dice import expected_dice

MASK = torch.tensor([[1.0, 1.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        ([[1, 1], [0, 0]], 1.0),  # sure
        ([[0.6, 0.6], [0.4, 0.4]], 0.6),  # 2 * 1.2 / (2.0 + 2)
        ([[1, 0.5], [0.5, 0]], 0.75),  # 2 * 1.5 / (2.0 + 2)
    ],
)
def test_four_pixels(probability, expected):
    assert expected_dice(MASK, torch.tensor(probability)) == pytest.approx(expected)


def test_an_empty_mask_is_as_sure_as_its_largest_probability_is_small():
    assert expected_dice(0 * MASK, 0.3 * MASK + 0.1) == pytest.approx(0.6)
    assert expected_dice(0 * MASK, 0 * MASK) == 1.0
