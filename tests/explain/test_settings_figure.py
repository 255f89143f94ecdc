"""The figure of the settings study: one line for each sampler, start and number of samples."""

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.settings_figure import settings_lines, without_steps, write_settings_figure


def row(steps, samples=1, start=None, sampler="ddim", **changes):
    found = {"sampler": sampler, "start": start, "steps": steps, "samples": samples, "dice": 0.7, "dice_low": 0.6}
    return {**found, "dice_high": 0.8, "seconds_per_image": 0.1 * steps * samples, **changes}


ROWS = [row(5), row(1), row(1, 5), row(2, 5, 400), row(2, sampler="unipc")]


def picture(path, rows):
    return np.asarray(Image.open(write_settings_figure(rows, path)).convert("RGB"))


def test_lines_are_named_by_sampler_samples_and_start_and_go_from_few_steps_to_many():
    lines = {name: [own["steps"] for own in rows] for name, rows in settings_lines([row(0), *ROWS]).items()}
    assert lines == {
        "DDIM, 1 sample": [1, 5],
        "DDIM, 5 samples": [1],
        "DDIM, 5 samples, from the prior at 400": [2],
        "UniPC, 1 sample": [2],
    }


def test_without_steps_there_is_the_row_of_0_steps_or_else_the_prior_or_nothing():
    prior = row(1, dice_of_the_prior=0.4)
    assert without_steps([prior, row(0, dice=0.5, seconds_per_image=0.01)]) == (0.5, 0.01)
    assert without_steps([prior]) == (0.4, None)
    assert without_steps(ROWS) == (None, None)


@pytest.mark.parametrize("change", [{"dice": 0.71}, {"dice_high": 0.9}, {"seconds_per_image": 9.0}, {"steps": 3}])
def test_every_number_is_seen(tmp_path, change):
    expected, other = (picture(tmp_path / "a.png", [{**ROWS[0], **own}, *ROWS[1:]]) for own in ({}, change))
    assert not np.array_equal(other, expected)


@pytest.mark.parametrize("rows", [[row(0, seconds_per_image=0.1)], [row(1, dice_low=None, dice_high=None)]])
def test_a_coarse_mask_alone_and_a_score_without_an_interval_are_drawn(tmp_path, rows):
    assert (picture(tmp_path / "a.png", rows) < 200).any()
