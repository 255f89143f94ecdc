"""Heat over a picture: colours and parts by hand."""

import math

import numpy as np

from noise2mask.explain.case_file import UNLABELLED
from noise2mask.explain.colours import colour_of
from noise2mask.explain.heat import HEAT, IMAGE, heat_inside, heated, in_colours, numbers_in_colours


def test_without_heat_the_picture_is_darker_and_with_it_lighter():
    picture = np.full((4, 4), 0.5)
    cold, hot = heated(picture, np.zeros((2, 2))), heated(picture, np.ones((2, 2)))
    assert cold.shape == (4, 4, 3) and abs(int(cold[0, 0, 1]) - round(255 * IMAGE * 0.5)) <= 1
    assert (hot[0, 0] > cold[0, 0]).all() and hot[0, 0, 0] == min(255, round(255 * (IMAGE * 0.5 + HEAT * 0.988)))


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
