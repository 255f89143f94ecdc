"""Whether the window that the network sees fits grey values: what lies outside of it is clipped."""

from collections.abc import Sequence

import numpy as np

LEAST_INSIDE = 0.02  # share of an image's values within the window; in BUSI at 30 to 235 the least is 0.38

WIDEST = 20.0  # of a window over z-scores, in standard deviations; a wider one leaves an image next to no contrast

REMEDY = "its mask means little; scale it to the grey values of the training, or change intensity_range"


def check_window(intensity_range: Sequence[float], z_score: bool = False) -> None:
    """See that a window can hold grey values.

    Args:
        intensity_range: values that become -1 and +1.
        z_score:         they are z-scores, which have mean 0 and deviation 1 in every image.

    Raises:
        ValueError: where it is empty, or, of z-scores, has 0 not inside or is wider than `WIDEST`.
    """
    low, high = intensity_range
    if not low < high:
        raise ValueError(f"intensity_range is {low:g} to {high:g}; expected the lower value first: correct it.")
    if z_score and not (low < 0 < high and high - low <= WIDEST):
        expected = f"expected 0 within it and at most {WIDEST:g} in all, such as -3 to 3"
        found = f"intensity_range is {low:g} to {high:g}, of z-scores (z_score: true)"
        raise ValueError(f"{found}; {expected}: correct it.")


def constant(values: np.ndarray) -> str:
    """What is to be said of an image with a single value, after its name; else an empty string."""
    return f"has the value {values.min():g} everywhere; expected a picture" if values.min() == values.max() else ""


def outside_window(values: np.ndarray, intensity_range: Sequence[float]) -> str:
    """What is to be said of an image that is constant, or has hardly anything within the window; else an empty string.

    Args:
        values:          of the image, of any shape.
        intensity_range: grey values that become -1 and +1.
    """
    if found := constant(values):
        return found
    low, high = intensity_range
    inside = np.mean((values > low) & (values < high))
    if inside >= LEAST_INSIDE:
        return ""
    found = f"{inside:.1%} of its values between {low:g} and {high:g} (they are {values.min():g} to {values.max():g})"
    return f"has {found}; expected most of them"
