"""Some of many."""

from noise2mask.spread import evenly


def test_the_first_and_the_last_are_always_there():
    assert evenly(1000, 8)[0] == 0 and evenly(1000, 8)[-1] == 999 and len(evenly(1000, 8)) == 8
    assert evenly(3, 8) == [0, 1, 2] and evenly(0, 8) == [] and evenly(5, 1) == [0]
