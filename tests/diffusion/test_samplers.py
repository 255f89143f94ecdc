"""Samplers: exact answers for Gaussian data, diffusers given the same timesteps, and the promises of the signature.

For data N(0, s^2) the best noise estimate is sigma x / (alpha^2 s^2 + sigma^2), which is linear in x. So is every
sampler, and its result's standard deviation is found without drawing anything: x_T and each later noise are basis
vectors, and the length of the result is the standard deviation.
"""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

from noise2mask.diffusion.noise import NoiseSource
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.samplers import DEFAULT_SPACING, SAMPLERS, Denoised, evaluations
from noise2mask.diffusion.timesteps import SPACINGS, select_timesteps

SCHEDULE = NoiseSchedule()
STEPS = (5, 10, 20, 50, 100)
DETERMINISTIC = [name for name in SAMPLERS if name != "ddpm"]
SPREAD = 0.5  # s of the data


def oracle(schedule=SCHEDULE):
    def denoise(x, t):
        alpha, sigma = schedule.alpha_sigma(t)
        epsilon = sigma * x / (alpha**2 * SPREAD**2 + sigma**2)
        return Denoised((x - sigma * epsilon) / alpha)

    return denoise


def network(clip=0.3, calls=None):
    """A nonlinear stand-in for a network: clipped x0, and a learned variance."""

    def denoise(x, t):
        if calls is not None:
            calls.append(t)
        return Denoised((torch.sin(3 * x) + math.cos(t / 200)).clamp(-clip, clip), torch.sigmoid(x))

    return denoise


def forbidden():
    raise AssertionError("a deterministic sampler called noise")


def start(dtype=torch.float64):
    return NoiseSource(0, range(2), 1, (1, 4, 4), dtype=dtype)()


def run(name, timesteps, denoise=None, schedule=SCHEDULE, x=None, callback=None, **options):
    noise = NoiseSource(1, range(2), 1, (1, 4, 4), dtype=torch.float64) if name == "ddpm" else forbidden
    x = start() if x is None else x
    return SAMPLERS[name](denoise or network(), x, timesteps, schedule, noise, callback, **options)


def deviation(name, timesteps, **options):
    basis = iter(torch.eye(len(timesteps) + 1, dtype=torch.float64))
    noise = (lambda: next(basis)) if name == "ddpm" else forbidden
    return SAMPLERS[name](oracle(), next(basis), timesteps, SCHEDULE, noise, **options).norm().item()


def deviations(name, spacing, **options):
    return [deviation(name, select_timesteps(SCHEDULE, steps, spacing), **options) for steps in STEPS]


# Gaussian data: figures and order


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The figures of diffusers, measured on samples whose x_T had a standard deviation of 1.0056.
        ("dpm_solver_pp", np.divide([0.402, 0.518, 0.509, 0.504, 0.503], 1.0056)),
        # The other three have no outside figures at this spacing; a change of them must be noticed.
        ("ddim", [0.2600, 0.3824, 0.4403, 0.4758, 0.4879]),
        ("dpm_solver", [0.7820, 0.5424, 0.5087, 0.5012, 0.5002]),
        ("dpm_solver_multistep", [0.3641, 0.4694, 0.4923, 0.4987, 0.4996]),
        ("unipc", [0.4125, 0.5254, 0.5047, 0.5002, 0.5000]),
    ],
)
def test_deviation_of_gaussian_data_in_log_snr_steps(name, expected):
    assert deviations(name, "log_snr") == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dpm_solver_pp", [0.272, 0.405, 0.479, 0.502, 0.503]),
        ("unipc", [0.274, 0.410, 0.481, 0.500, 0.502]),
    ],
)
def test_deviation_of_gaussian_data_in_uniform_steps_is_near_that_of_diffusers(name, expected):
    # 1 %: their list is a linspace of one entry more, and their figures are of drawn samples.
    assert deviations(name, "uniform") == pytest.approx(expected, rel=1e-2)


def test_ddim_deviation_is_that_of_diffusers_but_for_its_last_step():
    # Theirs ends at alpha_0 and sigma_0 = 0.01, which leaves up to 0.01 of noise; ours ends clean.
    theirs = [0.271, 0.376, 0.436, 0.475, 0.488]
    ours = deviations("ddim", "uniform")
    assert ours == pytest.approx([0.2625, 0.3700, 0.4314, 0.4714, 0.4854], abs=1e-3)
    assert all(0 < b - a < 0.01 for a, b in zip(ours, theirs, strict=True))


def test_ddpm_deviation_with_small_variance():
    # 2 %: the reference figures are of drawn samples.
    assert deviations("ddpm", "uniform") == pytest.approx([0.251, 0.330, 0.391, 0.443, 0.471], rel=2e-2)


def test_ddpm_with_large_variance_leaves_no_noise_in_the_last_sample():
    # The reference figures include the noise of the last transition, whose variance is 1 - abar of the last timestep.
    noisy = [0.686, 0.587, 0.543, 0.515, 0.511]
    ours = deviations("ddpm", "uniform", variance="large")
    last = [SCHEDULE.alpha_sigma(select_timesteps(SCHEDULE, steps, "uniform")[-1])[1] for steps in STEPS]
    assert [math.hypot(a, b) for a, b in zip(ours, last, strict=True)] == pytest.approx(noisy, rel=1e-2)
    assert ours == pytest.approx([0.3599, 0.4939, 0.5168, 0.5117, 0.5067], abs=1e-3)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_over_all_steps_gives_the_datas_deviation(variance):
    timesteps = list(range(999, -1, -1))
    assert deviation("ddpm", timesteps, variance=variance) == pytest.approx(SPREAD, abs=4e-3)


@pytest.mark.parametrize(
    ("name", "order", "errors"),
    [
        ("ddim", 1, [2.1e-1, 1.1e-1, 5.9e-2, 3.0e-2]),
        ("dpm_solver", 2, [6.8e-2, 1.6e-2, 3.8e-3, 9.3e-4]),
        ("dpm_solver_multistep", 2, [5.0e-2, 1.4e-2, 3.6e-3, 9.0e-4]),
        ("dpm_solver_pp", 2, [3.3e-2, 1.3e-2, 3.6e-3, 9.1e-4]),
        ("unipc", 3, [4.4e-2, 8.3e-3, 1.1e-3, 1.5e-4]),
    ],
)
def test_error_falls_with_the_order_of_the_sampler(name, order, errors):
    # A hundred times the timesteps with betas a hundredth as large: the same lambdas, but rounding no longer matters.
    fine = NoiseSchedule(timesteps=100_000, beta_start=1e-6, beta_end=2e-4)
    first, last = fine.log_snr(99_999), SCHEDULE.log_snr(0)
    found = []
    for steps in (10, 20, 40, 80):
        timesteps = [round(fine.timestep_at(point)) for point in np.linspace(first, last, steps + 1)]
        found.append(relative_error(name, timesteps, fine))
    assert found == pytest.approx(errors, rel=0.05)
    assert math.log2(found[-2] / found[-1]) == pytest.approx(order, abs=0.1)


def relative_error(name, timesteps, schedule):
    """Of x at the last timestep, as the callback sees it, against the exact flow."""
    seen = []
    x = torch.ones(1, dtype=torch.float64)
    SAMPLERS[name](oracle(schedule), x, timesteps, schedule, forbidden, lambda i, t, x, x0: seen.append(x.item()))
    (a_0, s_0), (a_1, s_1) = schedule.alpha_sigma(timesteps[-1]), schedule.alpha_sigma(timesteps[0])
    exact = math.sqrt((a_0**2 * SPREAD**2 + s_0**2) / (a_1**2 * SPREAD**2 + s_1**2))
    return abs(seen[-1] / exact - 1)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_many_steps_find_the_exact_mask(name):
    assert deviation(name, select_timesteps(SCHEDULE, 300)) == pytest.approx(SPREAD, abs=5e-3)


# diffusers, given the same timesteps


def against_diffusers(scheduler, timesteps, denoise):
    """Run a diffusers multistep scheduler over our list; it needs the noise levels of the list, closed by 0."""
    scheduler.set_timesteps(len(timesteps))
    pairs = [SCHEDULE.alpha_sigma(t) for t in timesteps]
    scheduler.timesteps = torch.tensor(timesteps)
    scheduler.sigmas = torch.tensor([sigma / alpha for alpha, sigma in pairs] + [0.0], dtype=torch.float64)
    x = start()
    for t in timesteps:
        x = scheduler.step(denoise(x, float(t)).x0, t, x).prev_sample
    return x


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ddim", lambda: DPMSolverMultistepScheduler(solver_order=1, prediction_type="sample")),
        ("dpm_solver_pp", lambda: DPMSolverMultistepScheduler(prediction_type="sample")),
        ("unipc", lambda: UniPCMultistepScheduler(prediction_type="sample")),
    ],
)
def test_diffusers_takes_the_same_steps(name, make, steps, spacing):
    timesteps = select_timesteps(SCHEDULE, steps, spacing)
    # lower_order_final, their default, makes the last transition first-order, as ours is
    expected = against_diffusers(make(), timesteps, network())
    torch.testing.assert_close(run(name, timesteps), expected, rtol=1e-5, atol=1e-5)


def test_ddim_equals_the_ddim_of_diffusers_where_its_stride_divides():
    timesteps = select_timesteps(SCHEDULE, 10, "uniform")
    theirs = DDIMScheduler(timestep_spacing="trailing", prediction_type="sample", clip_sample=False)
    theirs.set_timesteps(10)
    assert theirs.timesteps.tolist() == timesteps
    x = start()
    for t in timesteps:
        x = theirs.step(network()(x, float(t)).x0, t, x).prev_sample
    torch.testing.assert_close(run("ddim", timesteps), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_equals_that_of_diffusers(variance):
    timesteps = [999, 700, 350, 90, 0]  # ends at 0, where theirs adds no noise either
    theirs = DDPMScheduler(prediction_type="sample", clip_sample=False, variance_type=f"fixed_{variance}")
    theirs.set_timesteps(timesteps=timesteps)
    x, ours = start(), torch.Generator().manual_seed(3)
    generator = torch.Generator().manual_seed(3)
    for t in timesteps:
        x = theirs.step(network()(x, float(t)).x0, t, x, generator=generator).prev_sample

    def noise():
        return torch.randn(x.shape, generator=ours, dtype=x.dtype)

    found = SAMPLERS["ddpm"](network(), start(), timesteps, SCHEDULE, noise, variance=variance)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)


# What samplers have to do with each other


@pytest.mark.parametrize("spacing", SPACINGS)
def test_unipc_without_corrector_is_dpm_solver_pp(spacing):
    timesteps = select_timesteps(SCHEDULE, 8, spacing)
    found = run("unipc", timesteps, network(clip=2), corrector=False)
    torch.testing.assert_close(found, run("dpm_solver_pp", timesteps, network(clip=2)), rtol=0, atol=0)
    assert not torch.allclose(found, run("unipc", timesteps, network(clip=2)))


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_constant_mask_is_found_by_every_sampler(name):
    mask = start()
    found = run(name, select_timesteps(SCHEDULE, 6), lambda x, t: Denoised(mask))
    torch.testing.assert_close(found, mask)


@pytest.mark.parametrize(("fraction", "variance"), [(0.0, "small"), (1.0, "large")])
def test_learned_variance_lies_between_small_and_large(fraction, variance):
    timesteps = select_timesteps(SCHEDULE, 7, "uniform")

    def denoise(x, t):
        return Denoised(0.9 * torch.tanh(x), torch.full_like(x, fraction))

    expected = run("ddpm", timesteps, denoise, variance=variance)
    torch.testing.assert_close(run("ddpm", timesteps, denoise, variance="learned"), expected)


def test_half_the_learned_variance_is_the_geometric_mean():
    alpha_s, sigma_s, alpha_t, sigma_t = *SCHEDULE.alpha_sigma(500), *SCHEDULE.alpha_sigma(200)
    beta = 1 - (alpha_s / alpha_t) ** 2
    seen = []

    def denoise(x, t):
        seen.append(x)
        return Denoised(torch.zeros_like(x), torch.full_like(x, 0.5))

    x = torch.zeros(1, dtype=torch.float64)
    SAMPLERS["ddpm"](denoise, x, [500, 200], SCHEDULE, lambda: torch.ones_like(x), variance="learned")
    assert seen[1].item() == pytest.approx(math.sqrt(beta * sigma_t / sigma_s))


# What the signature promises


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_returns_the_one_shot_mask(name):
    torch.testing.assert_close(run(name, [999]), network()(start(), 999.0).x0, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_callback_sees_every_listed_timestep_once(name, steps):
    timesteps = select_timesteps(SCHEDULE, steps, DEFAULT_SPACING[name])
    seen = []
    result = run(name, timesteps, callback=lambda step, t, x, x0: seen.append((step, t, x.clone(), x0.clone())))
    assert [(step, t) for step, t, _, _ in seen] == list(enumerate(timesteps))
    assert torch.equal(seen[0][2], start())
    torch.testing.assert_close(seen[-1][3], result, rtol=0, atol=1e-15)
    assert all(torch.equal(x0, network()(x, float(t)).x0) for _, t, x, x0 in seen)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_evaluations_are_what_is_spent(name, steps):
    calls = []
    run(name, select_timesteps(SCHEDULE, steps), network(calls=calls))
    assert len(calls) == evaluations(name, steps)
    assert all(isinstance(t, float) for t in calls)


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_graph_is_kept(name):
    weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    graphs = []

    def denoise(x, t):
        x0 = weight * torch.tanh(x)
        graphs.append(x0.requires_grad)
        return Denoised(x0, torch.sigmoid(weight * x))

    result = run(name, [999, 500, 100], denoise, x=start().requires_grad_())
    assert not result.requires_grad
    assert not any(graphs)


@pytest.mark.parametrize("name", SAMPLERS)
def test_start_is_not_changed_and_nothing_is_remembered(name):
    x, timesteps = start(), select_timesteps(SCHEDULE, 4)
    first = run(name, timesteps, x=x)
    assert torch.equal(x, start())
    assert torch.equal(run(name, timesteps, x=x), first)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [2, 5, 30])
def test_cosine_schedule_stays_finite_with_a_clipped_mask(name, spacing, steps):
    schedule, seen = NoiseSchedule("cosine"), []
    x, noise = start(torch.float32), NoiseSource(1, range(2), 1, (1, 4, 4))
    timesteps = select_timesteps(schedule, steps, spacing)
    result = SAMPLERS[name](network(), x, timesteps, schedule, noise, lambda step, t, x, x0: seen.append(x))
    assert result.dtype == torch.float32
    assert result.abs().max() <= 0.3
    # A single step of dpm_solver over all of lambda multiplies changes of x0 by e^(h/2), which is 1500 here.
    limit = 2000 if (name, steps) == ("dpm_solver", 2) else 6
    assert all(torch.isfinite(x).all() and x.abs().max() < limit for x in seen)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("timesteps", [[], [5, 5], [3, 7], [4, -1]])
def test_a_list_that_does_not_decrease_is_an_error(name, timesteps):
    with pytest.raises(ValueError, match="strictly decreasing"):
        run(name, timesteps)


def test_wrong_options_are_errors():
    with pytest.raises(ValueError, match="small, large, learned"):
        run("ddpm", [9], variance="medium")
    with pytest.raises(ValueError, match="the network gives none"):
        run("ddpm", [9, 5], oracle(), variance="learned")
    with pytest.raises(ValueError, match="ddpm, ddim"):
        evaluations("euler", 5)


def test_every_sampler_has_a_spacing():
    assert SAMPLERS.keys() == DEFAULT_SPACING.keys()
    assert set(DEFAULT_SPACING.values()) <= set(SPACINGS)
