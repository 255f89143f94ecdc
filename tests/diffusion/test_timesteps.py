"""Timesteps: distinct, decreasing, as many as asked for, from the given start."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.timesteps import SPACINGS, select_timesteps

SCHEDULES = [NoiseSchedule(), NoiseSchedule("linear_rescaled", 300), NoiseSchedule("cosine", 37)]


def assert_good(timesteps, steps, start):
    assert len(timesteps) == steps
    assert timesteps[0] == start
    assert timesteps[-1] >= 0
    assert all(type(t) is int for t in timesteps)
    assert all(s > t for s, t in pairwise(timesteps))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 30, 37])
def test_list_starts_at_the_last_trained_step_though_n_does_not_divide_it(schedule, spacing, steps):
    assert_good(select_timesteps(schedule, steps, spacing), steps, schedule.timesteps - 1)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [80, 299, 300])
def test_many_steps_of_three_hundred_stay_distinct(spacing, steps):
    assert_good(select_timesteps(SCHEDULES[1], steps, spacing), steps, 299)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SCHEDULES), st.sampled_from(SPACINGS), st.data())
def test_any_start_and_length_give_a_good_list(schedule, spacing, data):
    start = data.draw(st.integers(0, schedule.timesteps - 1))
    steps = data.draw(st.integers(1, start + 1))
    assert_good(select_timesteps(schedule, steps, spacing, start), steps, start)


def test_uniform_by_hand():
    assert select_timesteps(NoiseSchedule(), 5, "uniform") == [999, 799, 599, 399, 199]
    assert select_timesteps(NoiseSchedule(), 3, "uniform") == [999, 666, 332]
    assert select_timesteps(NoiseSchedule(), 4, "uniform", start=9) == [9, 7, 4, 1]
    assert select_timesteps(NoiseSchedule(), 3, "uniform", start=2) == [2, 1, 0]


def test_log_snr_ends_at_zero_in_equal_parts_of_lambda():
    schedule = NoiseSchedule()
    timesteps = select_timesteps(schedule, 5)
    lambdas = [schedule.log_snr(t) for t in timesteps]
    parts = [b - a for a, b in pairwise(lambdas)]
    assert timesteps[-1] == 0
    assert parts == pytest.approx([sum(parts) / 4] * 4, rel=0.02)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_one_step_is_the_start_alone(spacing):
    assert select_timesteps(NoiseSchedule(), 1, spacing) == [999]
    assert select_timesteps(NoiseSchedule(), 1, spacing, start=400) == [400]


def test_wrong_requests_are_errors():
    schedule = NoiseSchedule(timesteps=100)
    for steps, start in ((0, None), (101, None), (12, 10)):
        with pytest.raises(ValueError, match="steps is"):
            select_timesteps(schedule, steps, start=start)
    for start in (-1, 100, "null"):
        with pytest.raises(ValueError, match="start is"):
            select_timesteps(schedule, 1, start=start)
    with pytest.raises(ValueError, match="log_snr, uniform"):
        select_timesteps(schedule, 5, "karras")
