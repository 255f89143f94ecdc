"""Hit, missed and false, on four pixels; who can be compared."""

import numpy as np
import pytest

from noise2mask.data.reader import GreyReader
from noise2mask.explain.case_file import UNLABELLED
from noise2mask.explain.compare import FALSE, HIT, MISSED, WRONG, CompareFigures, errors, scores_of, titles_of


def test_four_pixels_are_hit_missed_false_and_background():
    mask, label = np.array([[1, 0, 1, 0]], np.uint8), np.array([[1, 1, 0, 0]], np.uint8)
    assert [tuple(pixel) for pixel in errors(mask, label)[0].tolist()] == [HIT, MISSED, FALSE, (0, 0, 0)]


def test_another_structure_is_neither_hit_nor_missed_and_what_nobody_labelled_counts_nowhere():
    mask, label = np.array([[2, 1, 2]], np.uint8), np.array([[1, UNLABELLED, 2]], np.uint8)
    assert [tuple(pixel) for pixel in errors(mask, label)[0].tolist()] == [WRONG, (0, 0, 0), HIT]


def test_errors_differ_in_lightness():
    light = sorted(np.dot(colour, (0.299, 0.587, 0.114)) for colour in (HIT, WRONG, FALSE, MISSED, (0, 0, 0)))
    assert min(np.diff(light)) > 25


def test_pixels_and_dice_of_one_structure_and_of_several():
    mask, label = np.array([[1, 2, 2, 0, 1]], np.uint8), np.array([[1, 1, 2, 2, UNLABELLED]], np.uint8)
    assert scores_of(np.minimum(mask, 1), np.where(label == UNLABELLED, label, label > 0).astype(np.uint8), []) == {
        "hit": 3,
        "missed": 1,
        "false": 0,
        "dice": 6 / 7,
    }
    several = scores_of(mask, label, ["a", "b"])
    assert {name: several[name] for name in ("hit", "missed", "false", "other")} == {
        "hit": 2, "missed": 1, "false": 0, "other": 1,
    }  # fmt: skip
    assert several["dice_a"] == pytest.approx(2 / 3) and several["dice_b"] == 0.5
    assert several["dice"] == pytest.approx((2 / 3 + 0.5) / 2)


def test_networks_of_one_name_have_titles_of_their_own():
    same = ["pgdiffseg", "pgdiffseg=/a/run/model.pt", "pgdiffseg=/b/run/model.pt", "pgdiffseg=/b/run/last.pt"]
    titles = titles_of(same, "pgdiffseg")
    assert titles == ["pgdiffseg 2", "pgdiffseg\nrun", "pgdiffseg\nb/run", "pgdiffseg\nb/run/last.pt"]


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
