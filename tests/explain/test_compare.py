"""Hit, missed and false, on four pixels; who can be compared."""

import numpy as np
import pytest

from noise2mask.data.reader import GreyReader
from noise2mask.explain.case_file import UNLABELLED
from noise2mask.explain.compare import FALSE, HIT, MISSED, WRONG, CompareFigures, errors


def test_four_pixels_are_hit_missed_false_and_background():
    mask, label = np.array([[1, 0, 1, 0]], np.uint8), np.array([[1, 1, 0, 0]], np.uint8)
    assert [tuple(pixel) for pixel in errors(mask, label)[0].tolist()] == [HIT, MISSED, FALSE, (0, 0, 0)]


def test_another_structure_is_neither_hit_nor_missed_and_what_nobody_labelled_counts_nowhere():
    mask, label = np.array([[2, 1, 2]], np.uint8), np.array([[1, UNLABELLED, 2]], np.uint8)
    assert [tuple(pixel) for pixel in errors(mask, label)[0].tolist()] == [WRONG, (0, 0, 0), HIT]


def test_errors_differ_in_lightness():
    light = sorted(np.dot(colour, (0.299, 0.587, 0.114)) for colour in (HIT, WRONG, FALSE, MISSED, (0, 0, 0)))
    assert min(np.diff(light)) > 25


def figures(folder, others, **options):
    return CompareFigures([], GreyReader(), str(folder), "own", others, **options)


def test_there_must_be_something_else_of_the_same_structures(tmp_path):
    with pytest.raises(ValueError, match="nothing to compare with"):
        figures(tmp_path, [])
    with pytest.raises(ValueError, match=r"'pgdiffsek' is no bundle.*Did you mean pgdiffseg"):
        figures(tmp_path, ["pgdiffsek"])
    with pytest.raises(ValueError, match="medsegdiff_v2 segments anterior, posterior, expected one structure"):
        figures(tmp_path, ["medsegdiff_v2"])
    with pytest.raises(ValueError, match="pgdiffseg segments one structure, expected disc"):
        figures(tmp_path, ["pgdiffseg"], structures={"disc": [1]})
