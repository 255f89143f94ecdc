"""The figure of the ratio study, and what it shows of several runs."""

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.ratio_figure import mean_and_deviation, write_ratio_figure

ROWS = [{"ratio": ratio, "dice": dice, "iou": dice / 2} for ratio, dice in ((0, 0.2), (0, 0.4), (50, 0.7))]


def test_of_several_runs_there_is_the_samples_deviation_and_of_one_none():
    assert mean_and_deviation(ROWS[:2], "dice") == (pytest.approx(0.3), pytest.approx(0.2 / 2**0.5))
    assert mean_and_deviation(ROWS[2:], "iou") == (0.35, None)


def test_other_scores_and_other_deviations_make_another_picture(tmp_path):
    closer = [{**row, "dice": 0.3} if row["ratio"] == 0 else row for row in ROWS]  # the same mean
    pictures = [np.asarray(Image.open(write_ratio_figure(rows, tmp_path / "a.png"))) for rows in (ROWS, closer, ROWS)]
    assert np.array_equal(pictures[0], pictures[2]) and not np.array_equal(pictures[0], pictures[1])
