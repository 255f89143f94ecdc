"""Six ways from noise to a mask, each one function over an explicit list of timesteps.

A sampler starts with x at timesteps[0], goes from each listed timestep s to the next one t, and from the last one to
the clean end, where the estimate x0 of the last evaluation is the result. It sees the network only through `denoise`,
which returns an x0 that is already converted from the network's target, guided and clipped; it keeps no state and no
graph.

Symbols as in the papers: alpha, sigma of x_t = alpha x0 + sigma noise, lambda = ln(alpha / sigma), h = lambda_t -
lambda_s (positive on the way to the clean end). Sources: DDPM Ho et al. 2020; DDIM Song et al. 2021; DPM-Solver Lu et
al. 2022a; DPM-Solver++ Lu et al. 2022b; UniPC Zhao et al. 2023.

Legend: B images, N samples; every tensor is (B * N, K, H, W[, D]), written (B*N, ...).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from .noise_schedule import CLEAN_END, NoiseSchedule
from .target import to_epsilon


class Denoised(NamedTuple):
    """What `denoise` returns: the clean estimate and, if the network learned one, the variance's fraction, 0 to 1."""

    x0: Tensor
    variance: Tensor | None = None


Denoise = Callable[[Tensor, float], Denoised]  # (x_t, t) -> Denoised; t is whole but for the midpoints of dpm_solver
Noise = Callable[[], Tensor]  # N(0, 1) in the shape of x
Callback = Callable[[int, int, Tensor, Tensor], None]  # (step, timestep, x_t before the evaluation, x0)
Sampler = Callable[..., Tensor]

VARIANCES = ("small", "large", "learned")


@torch.no_grad()
def ddpm(
    denoise: Denoise,
    x: Tensor,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    noise: Noise,
    callback: Callback | None = None,
    variance: str = "small",
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, eq. 7), with the posterior between listed timesteps.

    `variance` is "small" (that of the posterior, 0 for a known x0), "large" (beta) or "learned": the geometric mean of
    both by the network's fraction (Nichol and Dhariwal 2021, eq. 15). The last transition adds no noise.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance is {variance!r}, expected one of {', '.join(VARIANCES)}")
    for step, (s, t) in enumerate(_transitions(timesteps)):
        denoised = _evaluate(denoise, x, s, step, callback)
        if t == CLEAN_END:
            break
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule.alpha_sigma(s), schedule.alpha_sigma(t)
        ratio = alpha_s / alpha_t
        beta = 1 - ratio**2
        mean = alpha_t * beta / sigma_s**2 * denoised.x0 + ratio * (sigma_t / sigma_s) ** 2 * x  # (B*N, ...)
        log_large, log_small = math.log(beta), math.log(beta * (sigma_t / sigma_s) ** 2)
        x = mean + _deviation(variance, denoised.variance, log_small, log_large) * noise()  # (B*N, ...)
    return denoised.x0  # (B*N, ...)


@torch.no_grad()
def ddim(
    denoise: Denoise,
    x: Tensor,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Deterministic DDIM (Song et al. 2021, eq. 12 with sigma = 0), which is DPM-Solver of order 1."""
    for step, (s, t) in enumerate(_transitions(timesteps)):
        x0 = _evaluate(denoise, x, s, step, callback).x0
        alpha_t, sigma_t = schedule.alpha_sigma(t)
        x = alpha_t * x0 + sigma_t * _noise_of(x, x0, s, schedule)  # (B*N, ...)
    return x  # (B*N, ...), x0 itself, as alpha = 1 and sigma = 0 at the clean end


@torch.no_grad()
def dpm_solver(
    denoise: Denoise,
    x: Tensor,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Single-step DPM-Solver-2 (Lu et al. 2022a, algorithm 1): a midpoint in lambda, two evaluations a transition.

    A change of x0 between s and the midpoint reaches x times alpha_t e^(h/2), however well x0 is clipped: with the wide
    steps of few timesteps x leaves its range, which the other solvers do not.
    """
    for step, (s, t) in enumerate(_transitions(timesteps)):
        x0 = _evaluate(denoise, x, s, step, callback).x0
        if t == CLEAN_END:
            break
        middle = schedule.timestep_at((schedule.log_snr(s) + schedule.log_snr(t)) / 2)
        u = _noise_step(x, _noise_of(x, x0, s, schedule), s, middle, schedule)  # (B*N, ...)
        u_noise = _noise_of(u, denoise(u, middle).x0, middle, schedule)  # (B*N, ...)
        x = _noise_step(x, u_noise, s, t, schedule)  # (B*N, ...)
    return x0  # (B*N, ...)


@torch.no_grad()
def dpm_solver_multistep(
    denoise: Denoise,
    x: Tensor,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Multistep DPM-Solver-2: `dpm_solver_pp` with the noise in place of x0 (after Lu et al. 2022b)."""
    now = before = None
    for step, (s, t) in enumerate(_transitions(timesteps)):
        x0 = _evaluate(denoise, x, s, step, callback).x0
        if t == CLEAN_END:
            break
        before, now = now, _noise_of(x, x0, s, schedule)  # (B*N, ...)
        x = _noise_step(x, _extrapolated(now, before, timesteps, step, schedule), s, t, schedule)  # (B*N, ...)
    return x0  # (B*N, ...)


@torch.no_grad()
def dpm_solver_pp(
    denoise: Denoise,
    x: Tensor,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """DPM-Solver++ 2M (Lu et al. 2022b, algorithm 2): x0 is extrapolated from two evaluations."""
    now = before = None
    for step, (s, t) in enumerate(_transitions(timesteps)):
        x0 = _evaluate(denoise, x, s, step, callback).x0
        if t == CLEAN_END:
            break
        before, now = now, x0
        x = _data_step(x, _extrapolated(now, before, timesteps, step, schedule), s, t, schedule)  # (B*N, ...)
    return x0  # (B*N, ...)


@torch.no_grad()
def unipc(
    denoise: Denoise,
    x: Tensor,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    noise: Noise,
    callback: Callback | None = None,
    corrector: bool = True,
) -> Tensor:
    """UniPC-2 with B(y) = e^y - 1 on x0 (Zhao et al. 2023, algorithms 1 and 2).

    The predictor is the step of `dpm_solver_pp`. The corrector repeats it from the same s with the evaluation at the
    predicted point, which is kept as the next step's value: no evaluation is added.
    """
    now = before = None
    x_s = x
    for step, (s, t) in enumerate(_transitions(timesteps)):
        x0 = _evaluate(denoise, x, s, step, callback).x0
        if corrector and now is not None:
            x = _corrected(x_s, now, before, x0, timesteps, step, schedule)  # (B*N, ...)
        if t == CLEAN_END:
            break
        before, now, x_s = now, x0, x
        x = _data_step(x, _extrapolated(now, before, timesteps, step, schedule), s, t, schedule)  # (B*N, ...)
    return x0  # (B*N, ...)


SAMPLERS: dict[str, Sampler] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "dpm_solver": dpm_solver,
    "dpm_solver_multistep": dpm_solver_multistep,
    "dpm_solver_pp": dpm_solver_pp,
    "unipc": unipc,
}
DEFAULT_SPACING = {name: "uniform" if name in ("ddpm", "ddim") else "log_snr" for name in SAMPLERS}


def evaluations(sampler_name: str, steps: int) -> int:
    """Number of network evaluations that a sampler spends on a list of `steps` timesteps."""
    if sampler_name not in SAMPLERS:
        raise ValueError(f"sampler is {sampler_name!r}, expected one of {', '.join(SAMPLERS)}")
    return max(0, 2 * steps - 1) if sampler_name == "dpm_solver" else steps


def _transitions(timesteps: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (s, t) from each listed timestep to the next one, from the last one to the clean end."""
    pairs = list(pairwise([*timesteps, CLEAN_END]))
    if not pairs or any(s <= t for s, t in pairs):
        raise ValueError(
            f"timesteps are {list(timesteps)}, expected at least one, strictly decreasing, the last one 0 or more:"
            " take them from select_timesteps"
        )
    return pairs


def _evaluate(denoise: Denoise, x: Tensor, s: int, step: int, callback: Callback | None) -> Denoised:
    denoised = denoise(x, float(s))
    if callback is not None:
        callback(step, s, x, denoised.x0)
    return denoised


def _deviation(variance: str, fraction: Tensor | None, log_small: float, log_large: float) -> float | Tensor:
    """Standard deviation of the noise that DDPM adds (Nichol and Dhariwal 2021, eq. 15)."""
    if variance == "learned":
        if fraction is None:
            raise ValueError(
                "variance is 'learned', but the network gives none: choose 'small' or 'large', or train a network with "
                "learn_sigma"
            )
        return (0.5 * (fraction * log_large + (1 - fraction) * log_small)).exp()  # (B*N, ...)
    return math.exp(0.5 * (log_small if variance == "small" else log_large))


def _noise_of(x: Tensor, x0: Tensor, t: float, schedule: NoiseSchedule) -> Tensor:
    """The noise that x_t holds if x0 is right."""
    return to_epsilon(x0, x, *schedule.alpha_sigma(t))  # (B*N, ...)


def _noise_step(x: Tensor, eps: Tensor, s: float, t: float, schedule: NoiseSchedule) -> Tensor:
    """From s to t with constant noise (Lu et al. 2022a, eq. 3.7): alpha_t/alpha_s x - sigma_t (e^h - 1) eps."""
    (alpha_s, _), (alpha_t, sigma_t) = schedule.alpha_sigma(s), schedule.alpha_sigma(t)
    h = schedule.log_snr(t) - schedule.log_snr(s)
    return alpha_t / alpha_s * x - sigma_t * math.expm1(h) * eps  # (B*N, ...)


def _data_step(x: Tensor, x0: Tensor, s: float, t: float, schedule: NoiseSchedule) -> Tensor:
    """From s to t with constant x0 (Lu et al. 2022b, section 4.1, k = 1): sigma_t/sigma_s x - alpha_t (e^-h - 1) x0."""
    (_, sigma_s), (alpha_t, sigma_t) = schedule.alpha_sigma(s), schedule.alpha_sigma(t)
    h = schedule.log_snr(t) - schedule.log_snr(s)
    return sigma_t / sigma_s * x - alpha_t * math.expm1(-h) * x0  # (B*N, ...)


def _extrapolated(
    now: Tensor, before: Tensor | None, timesteps: Sequence[int], step: int, schedule: NoiseSchedule
) -> Tensor:
    """(1 + 1/2r) now - 1/2r before with r = h_before / h: the value halfway to the next timestep."""
    if before is None:
        return now  # (B*N, ...)
    lambda_before, lambda_s, lambda_t = (schedule.log_snr(t) for t in timesteps[step - 1 : step + 2])
    weight = (lambda_t - lambda_s) / (2 * (lambda_s - lambda_before))
    return now + weight * (now - before)  # (B*N, ...)


def _corrected(
    x_s: Tensor,
    now: Tensor,
    before: Tensor | None,
    x0_t: Tensor,
    timesteps: Sequence[int],
    step: int,
    schedule: NoiseSchedule,
) -> Tensor:
    """UniPC's corrector from s = timesteps[step - 1] to t = timesteps[step], once x0 at t is known.

    x_t = z - alpha_t B(y) (rho_1 D_1 + rho_2 D_t), y = -h, z the step with constant x0, D_1 and D_t the slopes of x0
    towards the timestep before s and towards t; the rho solve the system of Zhao et al. 2023, theorem 3.1, p = 2.
    """
    s, t = timesteps[step - 1], timesteps[step]
    y = schedule.log_snr(s) - schedule.log_snr(t)
    if before is None:
        blend = now + 0.5 * (x0_t - now)  # (B*N, ...)
        return _data_step(x_s, blend, s, t, schedule)  # (B*N, ...)
    r = (schedule.log_snr(timesteps[step - 2]) - schedule.log_snr(s)) / -y
    phi_1 = math.expm1(y) / y - 1
    phi_2 = phi_1 / y - 0.5
    b_1, b_2 = phi_1 / math.expm1(y), 2 * phi_2 / math.expm1(y)
    rho_1 = (b_2 - b_1) / (r - 1)  # of [[1, 1], [r, 1]] rho = b
    rho_2 = b_1 - rho_1
    blend = now + rho_1 / r * (before - now) + rho_2 * (x0_t - now)  # (B*N, ...)
    return _data_step(x_s, blend, s, t, schedule)  # (B*N, ...)
