"""Curves of trainings: minutes, and whether they were flat at their end."""

import json

import pytest
from torch.utils.tensorboard import SummaryWriter

from noise2mask.explain.card import filled, written
from noise2mask.explain.score_rows import DIFFERENCES, score_table
from noise2mask.explain.training_curve import gain_at_end, said_of_end, training_curve, write_training_curves
from noise2mask.files import save_atomically

from .test_card import SCORES


def curve(*values):
    minutes = [float(i + 1) for i in range(len(values))]
    return {"score": "dice", "begins": 0.0, "finished": True, "minutes": minutes, "values": values}


def result(title="one", *values, **parts):
    return {"title": title, "training": {**curve(*values), "total_minutes": float(len(values))}, **parts}


def written_events(folder, epochs, seconds, **scores):
    """Epochs that take equally long, and scores by epoch."""
    with SummaryWriter(str(folder)) as writer:
        for epoch in range(1, epochs + 1):
            writer.add_scalar("diffusion_seconds", seconds, epoch)
        for name, own in scores.items():
            for epoch, value in own.items():
                writer.add_scalar(name, value, epoch)
    return folder


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ((0.1, 0.5, 0.7, 0.7), True),  # the last quarter is the last of four
        ((0.1, 0.5, 0.7, 0.705), True),  # as much as is allowed
        ((0.1, 0.5, 0.7, 0.72), False),
        ((0.1, 0.8, 0.7, 0.79), True),  # it was better before
        ((0.7, 0.7, 0.7), False),  # too few to tell
        ((), False),
    ],
)
def test_a_curve_is_flat_where_its_last_quarter_adds_next_to_nothing(values, flat):
    assert said_of_end(curve(*values)) == ("flat" if flat else "not converged")


def test_what_the_last_quarter_adds():
    assert gain_at_end(curve(0.1, 0.5, 0.7, 0.72)) == pytest.approx(0.02)


def test_the_last_quarter_is_that_of_the_last_training():
    later = curve(0.1, 0.5, 0.7, 0.72)
    assert gain_at_end({**later, "begins": 100.0, "minutes": [101.0, 102.0, 103.0, 104.0]}) == gain_at_end(later)


def test_a_schedule_that_did_not_end_says_nothing(tmp_path):
    flat = curve(0.5, 0.5, 0.5, 0.5)
    ends = [said_of_end({**flat, "finished": finished}) for finished in (True, None, False)]
    assert ends == ["flat", "unknown", "stopped early"] and said_of_end(None) == "unknown"
    folder = written_events(tmp_path, 4, 30.0, dice={2: 0.1, 4: 0.2})
    assert training_curve([folder])["finished"] is None
    save_atomically({"finished": False}, tmp_path / "last.pt")
    assert training_curve([folder])["finished"] is False


def test_minutes_are_those_of_all_trainings_and_phases(tmp_path):
    first = written_events(tmp_path / "first", 4, 30.0, dice={2: 0.1, 4: 0.2})
    second = written_events(tmp_path / "second", 3, 60.0, dice={1: 0.3, 3: 0.5})
    with SummaryWriter(str(second)) as writer:
        writer.add_scalar("prior_seconds", 120.0, 1)
    found = training_curve([first, second])
    assert found["minutes"] == [2 + 2 + 1, 2 + 2 + 3] and found["total_minutes"] == 7
    assert found["begins"] == 2 and found["values"] == pytest.approx([0.3, 0.5]) and found["score"] == "dice"


def test_what_nnunet_says_of_few_patches_is_judged_by_its_moving_average(tmp_path):
    folder = written_events(tmp_path, 3, 60.0, pseudo_dice={1: 0.5, 2: 1.0, 3: 0.0})
    assert training_curve([folder])["values"] == pytest.approx([0.5, 0.55, 0.495])


def test_a_prior_of_more_epochs_than_the_diffusion_has_so_far_comes_before_them(tmp_path):
    folder = written_events(tmp_path, 2, 60.0, dice={1: 0.3, 2: 0.5})
    with SummaryWriter(str(folder)) as writer:
        for epoch in range(1, 21):
            writer.add_scalar("prior_seconds", 60.0, epoch)
    assert training_curve([folder])["minutes"] == [21, 22]


def test_a_folder_without_a_curve_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} has no curve"):
        training_curve([tmp_path])


def test_a_card_says_how_trainings_ended(tmp_path):
    (tmp_path / "one.json").write_text(written(result("one", 0.1, 0.5, 0.7, 0.72)))
    row = filled("<!-- curves: one -->\n<!-- end -->", tmp_path).splitlines()[3]
    assert row == "| one | 4 | dice | 0.100 | 0.500 | 0.700 | 0.720 | +0.020 | not converged |"
    for older in ({}, {"training": {"score": "dice", "minutes": [1, 2], "values": [0.5, 0.6]}}):
        (tmp_path / "one.json").write_text(json.dumps({"title": "one", **older}))
        with pytest.raises(ValueError, match="one of the curves 'one' have no training"):
            filled("<!-- curves: one -->\n<!-- end -->", tmp_path)


def test_nothing_is_claimed_of_a_network_that_was_still_rising():
    own = {**SCORES, "hd95_unit": "mm"}
    flat, rising = result("flat", 0.5, 0.5, 0.5, 0.5, **own), result("rising", 0.1, 0.2, 0.3, 0.4, **own)
    stopped = {**flat, "title": "stopped", "training": {**flat["training"], "finished": False}}
    rows = score_table([{**own, **one} for one in (flat, rising, stopped, flat)]).splitlines()
    ends = [row.split(" | ")[-1] for row in rows[2:6]]
    assert ends == ["flat |", "not converged |", "stopped early |", "flat |"]
    compared = [row for row in rows[6:] if "+0.000" in row]
    assert len(compared) == 1 and compared[0].startswith("| flat | ")
    assert sum(row.endswith("first row and: rising (not converged); stopped (stopped early).") for row in rows) == 1


def test_a_table_of_no_differences_is_a_sentence():
    own = {**SCORES, "hd95_unit": "mm"}
    rising, flat = result("rising", 0.1, 0.2, 0.3, 0.4, **own), result("flat", 0.5, 0.5, 0.5, 0.5, **own)
    text = score_table([{**own, **one} for one in (rising, flat)])
    assert DIFFERENCES not in text and "flat (not" not in text
    assert "differences from the first row, which is not converged." in text


def test_curves_are_drawn(tmp_path):
    path = write_training_curves([result("one", 0.1, 0.2), result("two", 0.3, 0.4)], tmp_path / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG")
