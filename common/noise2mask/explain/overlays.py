"""One picture of many images with the contours of their masks, to see whether they belong together.

Legend: H W size; a volume shows the slice with most foreground.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .figure import save_figure
from .preview import picture_of, rows_of

COLUMNS = 4


def write_overlays(cases: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray | None]], path: Path) -> Path:
    """A sheet of images with contours.

    Args:
        cases: name, image (W, H), (3, W, H) or (X, Y, Z) of any range, mask (W, H) or (X, Y, Z), and the affine (4, 4)
            of a volume, None of a picture.
        path:  of the PNG.

    Returns:
        The path.
    """
    rows = -(-len(cases) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, image, mask, affine) in zip(axes, cases, strict=False):
        axis.imshow(picture_of(image, mask, affine), cmap="gray")
        drawn = rows_of(mask, mask, affine) > 0  # (H, W)
        if drawn.min() < drawn.max():
            axis.contour(drawn, levels=[0.5], colors="#ff9d00", linewidths=1.0)
        axis.set_title(name if mask.any() else f"{name} (empty)", fontsize=7)
    return save_figure(figure, path, dpi=90)
