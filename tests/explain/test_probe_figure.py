"""The heat map of the probe: a field for each block and timestep."""

import numpy as np
from PIL import Image

from noise2mask.explain.probe_figure import write_probe_figure


def rows(values):
    return [
        {"block": block, "timestep": timestep, "miou_with_background": value}
        for timestep, own in zip((100, 999), values, strict=True)
        for block, value in enumerate(own)
    ]


def picture(values, path):
    return np.asarray(Image.open(write_probe_figure(rows(values), "title", path)).convert("RGB"), float)


def test_the_best_field_is_the_brightest_and_stands_at_its_block_and_timestep(tmp_path):
    for k, i in ((0, 0), (1, 2)):
        values = np.full((2, 3), 0.2)
        values[k, i] = 0.8
        yellow = np.abs(picture(values, tmp_path / "a.png") - [253, 231, 37]).max(2) < 8
        bar = yellow.shape[1] * 3 // 4  # the colour bar stands on the right
        rows_, columns = np.nonzero(yellow[:, :bar])
        high, wide = np.ptp(rows_), np.ptp(columns)
        assert yellow[:, :bar].sum() > 0.5 * high * wide > 100
        if i == 0:
            first = rows_.mean(), columns.mean()
    assert rows_.mean() > first[0] and columns.mean() > first[1]


def test_rows_may_come_in_any_order_and_equal_ones_are_drawn(tmp_path):
    values = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    expected = picture(values, tmp_path / "a.png")
    path = write_probe_figure(rows(values)[::-1], "title", tmp_path / "b.png")
    assert np.array_equal(np.asarray(Image.open(path).convert("RGB"), float), expected)
    assert picture([[0.5] * 3] * 2, tmp_path / "c.png").shape == expected.shape
