"""The noise schedule: values by hand and against MONAI and diffusers, and the way between time and lambda."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler
from monai.networks.schedulers import NoiseSchedules

from noise2mask.diffusion.noise_schedule import NoiseSchedule


def test_linear_betas_by_hand():
    schedule = NoiseSchedule("linear", timesteps=3, beta_start=0.1, beta_end=0.3)
    torch.testing.assert_close(schedule.betas, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    torch.testing.assert_close(schedule.alphas_cumprod, torch.tensor([0.9, 0.72, 0.504], dtype=torch.float64))
    assert schedule.timesteps == 3
    assert schedule.alpha_sigma(1) == pytest.approx((math.sqrt(0.72), math.sqrt(0.28)))
    assert schedule.log_snr(1) == pytest.approx(math.log(math.sqrt(0.72 / 0.28)))


def test_a_schedule_is_told_from_one_of_other_betas():
    assert repr(NoiseSchedule()) == "NoiseSchedule('linear', timesteps=1000, beta_start=0.0001, beta_end=0.02)"
    others = ({"beta_end": 0.01}, {"beta_start": 1e-5}, {"timesteps": 500}, {"name": "cosine"})
    assert len({repr(NoiseSchedule(**other)) for other in ({}, *others)}) == 5


def test_rescaled_betas_end_where_a_thousand_steps_end():
    short, long = NoiseSchedule("linear_rescaled", 300), NoiseSchedule("linear", 1000)
    assert short.betas[0].item() == pytest.approx(1e-4 * 1000 / 300)
    assert short.betas[-1].item() == pytest.approx(2e-2 * 1000 / 300)
    assert short.log_snr(299) == pytest.approx(long.log_snr(999), abs=0.1)


@pytest.mark.parametrize(("name", "theirs", "tolerance"), [("linear", "linear_beta", 1e-6), ("cosine", "cosine", 2e-3)])
def test_betas_equal_those_of_monai_up_to_its_float32(name, theirs, tolerance):
    betas = NoiseSchedules[theirs](1000)
    betas = (betas[0] if isinstance(betas, tuple) else betas).double()
    torch.testing.assert_close(NoiseSchedule(name).betas, betas, rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize(("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_alphas_equal_those_of_diffusers(name, theirs):
    alphas = DDIMScheduler(1000, beta_schedule=theirs).alphas_cumprod.double()
    torch.testing.assert_close(NoiseSchedule(name).alphas_cumprod, alphas, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["linear", "linear_rescaled", "cosine"])
def test_alpha_falls_and_the_squares_add_to_one(name):
    schedule = NoiseSchedule(name, 100)
    pairs = [schedule.alpha_sigma(t) for t in range(-1, 100)]
    assert pairs[0] == (1.0, 0.0)
    assert all(a > b for (a, _), (b, _) in pairwise(pairs))
    assert all(alpha**2 + sigma**2 == pytest.approx(1.0, abs=1e-14) for alpha, sigma in pairs)


def test_fractional_time_takes_the_geometric_mean_of_its_neighbours():
    schedule = NoiseSchedule()
    middle, (left, _), (right, _) = schedule.alpha_sigma(10.5)[0], schedule.alpha_sigma(10), schedule.alpha_sigma(11)
    assert middle == pytest.approx(math.sqrt(left * right), rel=1e-14)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("t", [0, 0.25, 17, 500.5, 998.9, 999])
def test_timestep_at_inverts_log_snr(name, t):
    schedule = NoiseSchedule(name)
    assert schedule.timestep_at(schedule.log_snr(t)) == pytest.approx(t, abs=1e-8)


def test_clean_end_has_infinite_log_snr():
    schedule = NoiseSchedule()
    assert schedule.log_snr(-1) == math.inf
    assert schedule.timestep_at(math.inf) == -1
    assert schedule.timestep_at(-math.inf) == 999


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gather_takes_each_images_own_time(dtype):
    schedule, times = NoiseSchedule(), torch.tensor([0, 500, 999, -1])
    alpha, sigma = schedule.gather(times, torch.zeros(4, 2, 8, 8, dtype=dtype))
    assert alpha.shape == sigma.shape == (4, 1, 1, 1)
    assert alpha.dtype == dtype
    expected = torch.tensor([schedule.alpha_sigma(int(t)) for t in times], dtype=dtype)
    torch.testing.assert_close(torch.stack([alpha, sigma], 1).reshape(4, 2), expected)


def test_gather_refuses_a_time_outside():
    for t in (10, -2):
        with pytest.raises((IndexError, RuntimeError)):
            NoiseSchedule(timesteps=10).gather(torch.tensor([t]), torch.zeros(1, 1))


@pytest.mark.parametrize("t", [-1.5, 1000, math.nan])
def test_time_outside_is_an_error(t):
    with pytest.raises(ValueError, match="time is"):
        NoiseSchedule().alpha_sigma(t)


def test_wrong_settings_are_errors_that_name_what_is_right():
    with pytest.raises(ValueError, match="linear, linear_rescaled, cosine"):
        NoiseSchedule("quadratic")
    with pytest.raises(ValueError, match="at least 1"):
        NoiseSchedule(timesteps=0)
    with pytest.raises(ValueError, match="smaller beta_start"):
        NoiseSchedule("linear_rescaled", timesteps=20)
