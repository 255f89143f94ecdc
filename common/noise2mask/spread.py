"""Some of many, evenly spread: steps, slices, cases to show."""

import numpy as np


def check_most(most: int) -> None:
    """Raise ValueError where nothing would be left."""
    if most < 1:
        raise ValueError(f"{most} steps are to be shown, expected 1 or more: correct most_steps.")


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers 0 .. count - 1, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
