"""CIELAB agrees with published values, and its inverse gives the colours back."""

import numpy as np
import pytest

from noise2mask.data.cielab import from_cielab, to_cielab


@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((128, 128, 128), (53.585, 0, 0)),
        ((255, 0, 0), (53.233, 80.109, 67.220)),
        ((0, 255, 0), (87.737, -86.185, 83.181)),
        ((0, 0, 255), (32.303, 79.197, -107.864)),
    ],
)
def test_known_colours_have_their_published_values(colour, lab):
    assert to_cielab(np.array(colour)) == pytest.approx(lab, abs=0.02)


def test_every_colour_comes_back():
    steps = np.linspace(0, 255, 18)
    colours = np.stack(np.meshgrid(steps, steps, steps))
    assert from_cielab(to_cielab(colours)) == pytest.approx(colours, abs=1e-3)


def test_colours_that_srgb_lacks_are_clipped():
    colours = from_cielab(np.array([[50.0, 120.0], [150.0, 0.0], [-150.0, 0.0]]))
    assert colours.min() >= 0 and colours.max() <= 255 and np.isfinite(colours).all()
    assert colours[:, 1] == pytest.approx(255)
