"""How much noise a mask carries at each timestep.

The forward process is x_t = alpha_t x0 + sigma_t noise with alpha = sqrt(abar), sigma = sqrt(1 - abar) and abar_t the
product of (1 - beta) up to t (Ho et al. 2020, "Denoising diffusion probabilistic models", eq. 4). The linear betas are
theirs, the cosine ones are of Nichol and Dhariwal 2021, eq. 17. Solvers think in lambda = ln(alpha / sigma), half the
log signal-to-noise ratio (Lu et al. 2022, "DPM-Solver", section 3.1).

Time runs from T - 1 (almost pure noise) over 0 (the least noise that the network was trained on) to -1, the clean end.

Legend: B batch, T trained steps.
"""

import math

import numpy as np
import torch
from torch import Tensor

CLEAN_END = -1  # the time at which alpha = 1 and sigma = 0
SCHEDULES = ("linear", "linear_rescaled", "cosine")


class NoiseSchedule:
    """Betas and everything that follows from them, in float64 on the CPU.

    The betas are computed here and not by ``monai.networks.schedulers.NoiseSchedules``, because its cosine works in
    float32, where 1 - abar_t / abar_{t-1} cancels (the first betas are off by more than 0.1 %).

    Args:
        name:       "linear", "linear_rescaled" (betas * 1000 / T, so that few steps end in noise too) or "cosine"
        timesteps:  T, number of trained steps, at least 1
        beta_start: first beta of the linear schedules, in (0, 1); cosine ignores it
        beta_end:   last beta of the linear schedules, in (0, 1); cosine ignores it
    """

    def __init__(
        self, name: str = "linear", timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 2e-2
    ) -> None:
        if timesteps < 1:
            raise ValueError(f"timesteps is {timesteps}, expected at least 1: give the number of trained steps")
        self.name = name
        self.ends = (beta_start, beta_end)
        self.betas = _betas(name, timesteps, beta_start, beta_end)  # (T,)
        if not bool(((self.betas > 0) & (self.betas < 1)).all()):
            raise ValueError(
                f"{name} betas run from {self.betas[0].item():.3g} to {self.betas[-1].item():.3g}, expected values"
                " strictly between 0 and 1: take smaller beta_start and beta_end, or more timesteps"
            )
        log_abar = torch.log1p(-self.betas).cumsum(0)  # (T,)
        self.alphas_cumprod = log_abar.exp()  # (T,)
        # One entry for the clean end in front, so that entry t + 1 belongs to time t.
        self._log_abar = np.concatenate([[0.0], log_abar.numpy()])  # (T + 1,)
        self._times = np.arange(CLEAN_END, timesteps, dtype=np.float64)  # (T + 1,)

    def __repr__(self) -> str:
        start, end = self.ends
        return f"NoiseSchedule({self.name!r}, timesteps={self.timesteps}, beta_start={start!r}, beta_end={end!r})"

    @property
    def timesteps(self) -> int:
        """T, the number of trained steps."""
        return len(self.betas)

    def alpha_sigma(self, t: float) -> tuple[float, float]:
        """Factors of signal and noise at time t in [-1, T - 1]; log abar is linear between whole times."""
        log_abar = self._log_abar_at(t)
        return math.exp(0.5 * log_abar), math.sqrt(-math.expm1(log_abar))

    def noised(self, x0: Tensor, noise: Tensor, t: float) -> Tensor:
        """x_t = alpha x0 + sigma noise (Ho et al. 2020, equation 4), each (B, C, ...), at one time for all."""
        alpha, sigma = self.alpha_sigma(t)
        return alpha * x0 + sigma * noise  # (B, C, ...)

    def log_snr(self, t: float) -> float:
        """lambda = ln(alpha / sigma) at time t in [-1, T - 1]; infinite at the clean end."""
        log_abar = self._log_abar_at(t)
        return math.inf if log_abar == 0 else 0.5 * (log_abar - math.log(-math.expm1(log_abar)))

    def timestep_at(self, log_snr: float) -> float:
        """The (fractional) time of a lambda: the inverse of `log_snr`, clamped to [-1, T - 1]."""
        # abar = sigmoid(2 lambda), and log sigmoid(z) = -log(1 + exp(-z)), written so that neither sign overflows.
        log_abar = -float(np.logaddexp(0.0, -2.0 * log_snr))
        return float(np.interp(-log_abar, -self._log_abar, self._times))

    def gather(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of signal and noise for a batch of whole times, in dtype, device and rank of `like`.

        Args:
            t:    whole times in [-1, T - 1], (B,)
            like: what the factors will be multiplied with, (B, ...)
        """
        log_abar = torch.from_numpy(self._log_abar)  # (T + 1,)
        table = torch.stack([(0.5 * log_abar).exp(), (-torch.expm1(log_abar)).sqrt()])  # (2, T + 1)
        # dtype before device, because some devices have no float64
        table = table.to(like.dtype).to(like.device)
        pair = table.index_select(1, t.to(like.device) + 1)  # (2, B)
        alpha, sigma = pair.reshape(2, -1, *[1] * (like.ndim - 1))  # (B, 1, ...) each
        return alpha, sigma

    def _log_abar_at(self, t: float) -> float:
        if not CLEAN_END <= t <= self.timesteps - 1:
            raise ValueError(
                f"time is {t}, expected {CLEAN_END} (clean) to {self.timesteps - 1}: the schedule has"
                f" {self.timesteps} timesteps"
            )
        return float(np.interp(t, self._times, self._log_abar))


def _betas(name: str, timesteps: int, beta_start: float, beta_end: float) -> Tensor:
    if name == "linear":
        return torch.linspace(beta_start, beta_end, timesteps, dtype=torch.float64)  # (T,)
    if name == "linear_rescaled":
        return torch.linspace(beta_start, beta_end, timesteps, dtype=torch.float64) * (1000 / timesteps)  # (T,)
    if name == "cosine":
        return _cosine_betas(timesteps)  # (T,)
    raise ValueError(f"schedule name is {name!r}, expected one of {', '.join(SCHEDULES)}")


def _cosine_betas(timesteps: int, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """Betas whose abar falls as a squared cosine (Nichol and Dhariwal 2021, eq. 17)."""
    time = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)  # (T + 1,)
    abar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2  # (T + 1,)
    return (1 - abar[1:] / abar[:-1]).clamp(max=largest)  # (T,)
