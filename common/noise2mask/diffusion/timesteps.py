"""Which of the trained timesteps a sampler visits.

The list is explicit, and a sampler goes from each entry to the next one and from the last to the clean end, so there is
no second notion of stride that could contradict it. "uniform" divides the way from `start` to the clean end into equal
parts of time (Nichol and Dhariwal 2021, section 4, and right too where the number of steps does not divide T).
"log_snr" divides the way from `start` to time 0 into equal parts of lambda = ln(alpha / sigma), as the fast solvers
assume (Lu et al. 2022, "DPM-Solver", section 3.3).

Legend: T trained steps.
"""

import numpy as np

from .noise_schedule import NoiseSchedule

SPACINGS = ("log_snr", "uniform")


def select_timesteps(
    schedule: NoiseSchedule, steps: int, spacing: str = "log_snr", start: int | None = None
) -> list[int]:
    """Distinct trained timesteps, strictly decreasing.

    Args:
        schedule: the noise schedule of training
        steps:    length of the list, 1 to start + 1
        spacing:  "log_snr" (last entry 0 when steps > 1) or "uniform" (equal parts of [-1, start])
        start:    first entry, 0 to T - 1; None means T - 1

    Returns:
        `steps` whole numbers, the first is `start`.
    """
    last = schedule.timesteps - 1
    start = last if start is None else start
    if not isinstance(start, int) or not 0 <= start <= last:
        raise ValueError(f"start is {start!r}, expected 0 to {last}, or None: the schedule has {last + 1} timesteps")
    if not 1 <= steps <= start + 1:
        raise ValueError(
            f"steps is {steps}, expected 1 to {start + 1}, the timesteps from {start} down to 0: change steps."
        )
    if spacing == "uniform":
        return _uniform(steps, start)
    if spacing == "log_snr":
        return _log_snr(schedule, steps, start)
    raise ValueError(f"spacing is {spacing!r}, expected one of {', '.join(SPACINGS)}")


def _uniform(steps: int, start: int) -> list[int]:
    # The parts are at least 1 long, so rounding keeps them apart.
    return [round((start + 1) * k / steps) - 1 for k in range(steps, 0, -1)]


def _log_snr(schedule: NoiseSchedule, steps: int, start: int) -> list[int]:
    if steps == 1:
        return [start]
    points = np.linspace(schedule.log_snr(0), schedule.log_snr(start), steps)
    return _distinct([round(schedule.timestep_at(float(point))) for point in points], start)[::-1]


def _distinct(ascending: list[int], start: int) -> list[int]:
    """Push equal neighbours apart, upwards from 0, then back below `start`; others stay where they are."""
    for i in range(1, len(ascending)):
        ascending[i] = max(ascending[i], ascending[i - 1] + 1)
    ascending[-1] = start
    for i in range(len(ascending) - 2, -1, -1):
        ascending[i] = min(ascending[i], ascending[i + 1] - 1)
    return ascending
