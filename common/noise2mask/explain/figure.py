"""Figures as files."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..files import atomic_file


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> Path:
    """Write a PNG, without a moment at which half of it is there, and let go of what was drawn.

    The parts of a figure refer to one another and live on, images and all, until Python looks for such cycles.
    """
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=dpi)
    for shown in [image for axis in figure.axes for image in axis.images]:
        shown.set_data(np.zeros((1, 1)))
    figure.clear()
    return path
