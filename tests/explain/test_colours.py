"""Structures have colours that are told apart, and the palette of a label map has the same."""

from noise2mask.explain.colours import COLOURS, colour_of, palette, style_of


def test_the_first_seven_have_colours_of_their_own_and_the_others_another_line():
    looks = {(colour_of(number), style_of(number)) for number in range(1, 3 * len(COLOURS) + 1)}
    assert len(looks) == 3 * len(COLOURS) and colour_of(8) == colour_of(1)


def test_a_label_map_has_the_colours_of_contours_on_black():
    values = palette()
    assert len(values) == 3 * 256 and values[:3] == [0, 0, 0]
    assert "#{:02x}{:02x}{:02x}".format(*values[6:9]) == colour_of(2)
