"""Tables and curves of robustness studies, of one network and of several."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain import card
from noise2mask.explain.robustness_figure import curve, write_robustness_figure
from noise2mask.explain.robustness_table import beside, place, scores_table


def row(corruption="none", severity=None, dice=0.7, **changes):
    found = {"corruption": corruption, "severity": severity, "images": 9, "dice": dice, "dice_low": 0.6}
    found |= {"dice_high": 0.8, "expected_calibration_error": 0.0625, "triage": 0.125}
    return {**found, "triage_spearman_with_dice": -0.5, **changes}


ROWS = [row("crop", 0.5), row("noise", 0.2, 0.5), row("crop", 0.9), row(), row("noise", 0.1, 0.625)]
OTHER = [row(dice=0.5, triage=None), row("noise", 0.2, 0.25, dice_low=None, dice_high=None, triage=None)]


def picture(path, results):
    return np.asarray(Image.open(write_robustness_figure(results, path)).convert("RGB"))


def test_rows_go_from_the_images_as_they_are_and_from_mild_to_strong():
    head, body = scores_table(ROWS)
    assert [line[0] for line in body] == ["nothing changed", "noise 0.1", "noise 0.2", "crop 0.9", "crop 0.5"]
    assert body[1] == ["noise 0.1", "0.625 (0.600 to 0.800)", "0.062", "0.125", "-0.50"] and len(head) == 5
    assert place(row("contrast", 0.5)) < place(row("contrast", 0.25)) < place(row("crop", 0.9))


def test_networks_stand_beside_one_another_with_what_each_has():
    head, body = beside([{"title": "one", "rows": ROWS}, {"title": "other", "rows": OTHER}])
    assert head[1::2] == ["one: Dice (95 % interval)", "other: Dice (95 % interval)"]
    assert body[0] == ["nothing changed", "0.700 (0.600 to 0.800)", "0.125", "0.500 (0.600 to 0.800)", "-"]
    assert body[2][3:] == ["0.250", "-"] and body[3][3:] == ["-", "-"] and len(body) == 5


def test_networks_that_saw_other_images_are_not_compared():
    fewer = [{**own, "images": 8} for own in OTHER]
    with pytest.raises(ValueError, match="'one' and 'other' are of 9 and 8 images; expected the same images"):
        beside([{"title": "one", "rows": ROWS}, {"title": "other", "rows": fewer}])
    with pytest.raises(ValueError, match="'scores' is no robustness study"):
        beside([{"title": "scores", "means": {}}])


def test_a_curve_begins_at_the_images_as_they_are_and_gets_worse_to_the_right():
    assert [severity for severity, _ in curve(ROWS, "noise")] == [0, 0.1, 0.2]
    assert [severity for severity, _ in curve(ROWS, "crop")] == [1, 0.9, 0.5]
    assert [own["dice"] for _, own in curve(ROWS, "noise")] == [0.7, 0.625, 0.5]


@pytest.mark.parametrize("change", [{"dice": 0.71}, {"dice_high": 0.9}, {"triage": 0.3}, {"severity": 0.4}])
def test_every_number_is_seen(tmp_path, change):
    one = {"": [*ROWS[:2], row("crop", 0.8), row()]}
    expected, other = (picture(tmp_path / "a.png", {"": [{**ROWS[0], **own}, *one[""][1:]]}) for own in ({}, change))
    assert not np.array_equal(other, expected)


def test_kept_results_are_drawn_by_command(tmp_path, monkeypatch):
    for title, rows in (("one", ROWS), ("other", OTHER)):
        (tmp_path / f"{title}.json").write_text(json.dumps({"title": title, "rows": rows}))
    both = tmp_path / "both.png"
    monkeypatch.setattr(sys, "argv", ["card", "draw", str(both), "one", "other"])
    card.main()
    expected = picture(tmp_path / "expected.png", {"one": ROWS, "other": OTHER})
    assert np.array_equal(np.asarray(Image.open(both).convert("RGB")), expected)
    assert not np.array_equal(picture(tmp_path / "alone.png", {"one": ROWS}), expected)


def test_results_of_two_kinds_are_not_drawn_together(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps({"title": "study", "rows": ROWS}))
    (tmp_path / "scores.json").write_text(json.dumps({"title": "scores"}))
    with pytest.raises(ValueError, match="'scores' is no robustness study"):
        card.draw(tmp_path / "both.png", ["study", "scores"])
    with pytest.raises(ValueError, match="scores, study of the curves 'scores study' have no training"):
        card.draw(tmp_path / "both.png", ["scores", "study"])
    assert not (tmp_path / "both.png").exists()
