"""Whether an image's grey values fit the window that the network sees: what lies outside of it is clipped."""

from collections.abc import Sequence

import numpy as np

LEAST_INSIDE = 0.02  # share of an image's values within the window; in BUSI at 30 to 235 the least is 0.38

REMEDY = "its mask means little; scale it to the grey values of the training, or change intensity_range"


def outside_window(values: np.ndarray, intensity_range: Sequence[float]) -> str:
    """What is to be said of an image with hardly anything within the window, after its name; else an empty string.

    Args:
        values:          of the image, of any shape.
        intensity_range: grey values that become -1 and +1.
    """
    low, high = intensity_range
    inside = np.mean((values > low) & (values < high)) if values.min() < values.max() else 1.0
    if inside >= LEAST_INSIDE:
        return ""
    found = f"{inside:.1%} of its values between {low:g} and {high:g} (they are {values.min():g} to {values.max():g})"
    return f"has {found}; expected most of them"
