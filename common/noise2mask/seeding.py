"""Seeds that follow from a run's seed and from where in the run they are used."""

import random

import numpy as np
import torch


def derived_seed(*parts: int) -> int:
    """One 32-bit seed from several numbers, well mixed, so that neighbours (epoch 1, index 2) and (2, 1) differ.

    Args:
        parts: such as the run's seed, the epoch and an index; all >= 0.
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def seed_everything(*parts: int) -> None:
    """Seed Python, NumPy and torch (every device) from these numbers."""
    seed = derived_seed(*parts)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
