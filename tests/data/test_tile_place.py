"""Tiles overlap where they share pixels of one slide; of what is not known nothing is said."""

import pytest

from noise2mask.data.tile_place import overlapping


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"slide": "s", "place": [10, 20, 8]}, True),
        ({"slide": "s", "place": [17, 27, 8]}, True),  # a corner
        ({"slide": "s", "place": [18, 20, 8]}, False),  # they touch
        ({"slide": "s", "place": [10, 28, 8]}, False),
        ({"slide": "s", "place": [0, 0, 100]}, True),  # inside
        ({"slide": "t", "place": [10, 20, 8]}, False),
        ({"slide": "s"}, False),
        ({}, False),
    ],
)
def test_of_a_tile_and_another(other, expected):
    one = {"slide": "s", "place": [10, 20, 8]}
    assert overlapping(one, other) == overlapping(other, one) == expected
