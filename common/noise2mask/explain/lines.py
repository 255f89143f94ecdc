"""Lines of a figure, told apart by marker and dashes as well as by colour, with the intervals of their points."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .colours import colour_of

LOOKS = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"), ("v", "-"), ("P", "--"), ("X", "-."))  # marker and line
COLOURS = (5, 6, 3, 1, 7, 2)  # numbers of structures' colours; yellow is too pale for a line


def look_of(number: int) -> dict[str, Any]:
    """Of a line, counted from 0, as matplotlib's keywords."""
    marker, style = LOOKS[number % len(LOOKS)]
    return {"marker": marker, "linestyle": style, "color": colour_of(COLOURS[number % len(COLOURS)]), "markersize": 5}


def draw_dice(axes: Axes, at: Sequence[float], rows: Sequence[Mapping[str, Any]], look: Mapping[str, Any]) -> None:
    """A line of `dice` at these places, with the interval from `dice_low` to `dice_high` where there is one."""
    ends = [[row["dice"] if row[name] is None else row[name] for row in rows] for name in ("dice_low", "dice_high")]
    dice = [row["dice"] for row in rows]
    reach = np.abs(np.array(ends) - dice)  # (2, rows)
    axes.errorbar(at, dice, reach, capsize=2, elinewidth=0.8, **look)
