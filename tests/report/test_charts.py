"""Axes have round numbers, dots stand where their numbers say."""

import math
import re

import pytest

from noise2mask.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RADIUS,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Mark,
    axis_of,
    line_chart,
    scatter,
)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 0.77, [0, 0.2, 0.4, 0.6]), (-3, 12, [0, 5, 10]), (980, 1020, None)],
)
def test_ticks_are_round_numbers_between_both_ends(low, high, ticks):
    found = Axis("", low, high).ticks()
    assert found == pytest.approx(ticks or [980, 990, 1000, 1010, 1020])


def test_an_axis_holds_its_values_though_they_are_all_the_same():
    for values in ([2.0, 3.0], [5.0, 5.0], [0.0], [], [-4.0]):
        axis = axis_of("", values)
        assert axis.low < axis.high and all(axis.low < value < axis.high for value in values)


def test_dots_lie_in_the_corners_of_their_axes():
    svg = scatter("", Axis("x", 0, 1), Axis("y", 0, 1), [Mark(0, 0, "a"), Mark(1, 1, "b")])
    places = [tuple(map(float, found)) for found in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert places == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]


def test_names_from_files_are_escaped():
    svg = scatter("<i>", Axis("&", 0, 1), Axis("y", 0, 1), [Mark(0, 0, "</title><script>")])
    assert "<script" not in svg and "<i>" not in svg and "&lt;/title&gt;&lt;script&gt;" in svg


def test_a_line_of_many_points_has_no_dots():
    axis = Axis("", 0, 100)
    assert "<circle" not in line_chart("", axis, axis, range(100), range(100))
    assert line_chart("", axis, axis, range(3), range(3)).count("<circle") == 3
    assert math.isclose(axis.ticks()[-1], 100)


def test_marks_at_one_place_are_one_larger_mark_with_their_number_and_another_kind_stays_apart():
    axis = Axis("", 0, 1)
    marks = [*(Mark(0, 0, name) for name in "abc"), Mark(0, 0, "d", hollow=True), Mark(0.5, 0.5, "e")]
    svg = scatter("", axis, axis, marks)
    assert "<title>a, b, c 0, 0</title>" in svg and "<title>d 0, 0</title></rect>" in svg and ">3</text>" in svg
    radii = [float(found) for found in re.findall(r'r="([\d.]+)"', svg)]
    assert radii == [pytest.approx(RADIUS * 3**0.5, abs=0.05), RADIUS]


def test_a_number_at_the_right_edge_stands_on_the_left_of_its_mark():
    axis = Axis("", 0, 1)
    svg = scatter("", axis, axis, [Mark(1, 1, "a")] * 2)
    place = re.search(r'x="([\d.]+)" y="[\d.]+" text-anchor="end">2</text>', svg)
    assert float(place[1]) < WIDTH - RIGHT
