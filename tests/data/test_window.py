"""An image with hardly anything between black and white of the window is told from one that fits."""

import numpy as np
import pytest

from noise2mask.data.window import check_window, outside_window


def test_values_within_the_window_are_fine():
    assert outside_window(np.array([0, 100, 255]), (30, 235)) == ""


@pytest.mark.parametrize("value", [100, 7])
def test_a_constant_image_shows_nothing_wherever_its_value_lies(value):
    assert outside_window(np.full((4, 4), value), (30, 235)) == f"has the value {value} everywhere; expected a picture"


@pytest.mark.parametrize("values", [[0, 0.5, 1], [300, 3000], [0, 65535]])
def test_values_outside_are_told_with_what_they_are(values):
    found = outside_window(np.array(values), (30, 235))
    assert found.startswith("has 0.0% of its values between 30 and 235 (they are ") and f"to {max(values)})" in found


@pytest.mark.parametrize("window", [(0, 200), (-3, 0), (-1000, 1000), (3, -3)])
def test_a_window_that_would_take_the_contrast_from_z_scores_is_refused(window):
    check_window((-3, 3), z_score=True)
    with pytest.raises(ValueError, match="intensity_range is .*expected"):
        check_window(window, z_score=True)
