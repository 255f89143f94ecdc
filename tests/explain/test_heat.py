"""Heat over a picture: colours and parts by hand."""

import math

import numpy as np

from noise2mask.explain.case_file import UNLABELLED
from noise2mask.explain.colours import colour_of
from noise2mask.explain.heat import HEAT, heat_inside, heated, in_colours, numbers_in_colours


def test_without_heat_the_picture_is_as_it_was_and_the_largest_heat_is_as_bright_on_dark_as_on_bright_ground():
    dark, bright = np.zeros((4, 4)), np.ones((4, 4))
    assert np.array_equal(heated(bright * 0.5, np.zeros((2, 2))), in_colours(bright * 0.5))
    hot = [heated(picture, np.ones((2, 2)))[0, 0].astype(int) for picture in (dark, bright)]
    assert np.abs(hot[1] - hot[0] - 255 * (1 - HEAT)).max() <= 1
    assert np.dot(hot[0], (0.299, 0.587, 0.114)) > 150


def test_colours_stay_and_grey_becomes_three_equal_ones():
    colour = np.random.default_rng(0).random((3, 2, 3))
    assert np.array_equal(in_colours(colour), (colour * 255).round())
    assert np.array_equal(in_colours(colour[..., 0])[..., 2], (colour[..., 0] * 255).round())


def test_the_part_of_the_heat_in_the_lesion_is_a_half_where_half_of_it_is():
    lesion = np.zeros((4, 4), bool)
    lesion[:, :2] = True
    assert heat_inside(np.ones((4, 4)), lesion) == 0.5
    assert math.isnan(heat_inside(np.zeros((4, 4)), lesion)) and math.isnan(
        heat_inside(np.ones((4, 4)), ~lesion & lesion)
    )


def test_structures_have_their_colours_and_what_nobody_labelled_is_grey():
    picture = numbers_in_colours(np.array([[0, 2, UNLABELLED]], np.uint8))
    assert picture[0, 0].tolist() == [0, 0, 0] and len(set(picture[0, 2].tolist())) == 1
    assert "#" + "".join(f"{value:02x}" for value in picture[0, 1]) == colour_of(2)
