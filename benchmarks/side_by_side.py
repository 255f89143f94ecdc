"""Times two things in turn, A B A B ..., in one run, so that their ratio holds when the machine's speed drifts."""

import platform
import statistics
import time
from collections.abc import Callable

import torch


def ratio(title: str, slow: Callable[[], object], fast: Callable[[], object], runs: int = 7) -> float:
    """Print the median times of both, and the median of slow / fast over pairs, after one warm-up of each."""
    pairs = [(seconds(slow), seconds(fast)) for _ in range(runs + 1)][1:]
    medians = [statistics.median(times) * 1000 for times in zip(*pairs, strict=True)]
    quotient = statistics.median(a / b for a, b in pairs)
    print(f"{title:58}{medians[0]:10.1f} ms{medians[1]:10.1f} ms{quotient:8.2f}x", flush=True)
    return quotient


def header() -> None:
    """The machine, and what the columns mean."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads; medians; first / second")


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, the GPU waited for."""
    _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
