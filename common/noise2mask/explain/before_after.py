"""Colour pictures before and after a change of their colours, one below the other.

Legend: H W size.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .figure import save_figure


def write_before_after(pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], path: Path) -> Path:
    """Two rows of pictures.

    Args:
        pairs: name, before, after, each (3, W, H) in [0, 255].
        path:  of the PNG.

    Returns:
        The path.
    """
    figure = Figure(figsize=(2.4 * len(pairs), 5.2), layout="constrained")
    for column, (name, *pictures) in zip(figure.subplots(2, len(pairs), squeeze=False).T, pairs, strict=True):
        for axis, when, picture in zip(column, ("before", "after"), pictures, strict=True):
            axis.imshow(picture.T.round().astype(np.uint8))  # (H, W, 3)
            axis.set_title(f"{name}\n{when}", fontsize=7)
            axis.set_axis_off()
    return save_figure(figure, path, dpi=100)
