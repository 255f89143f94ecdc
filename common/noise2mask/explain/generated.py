"""A picture grid of generation: mask, reference, generated images and, where there is one, the real image.

Legend: N images of a mask.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from .colours import palette
from .figure import save_figure

MOST = 3  # images shown of one mask


def write_generated(rows: Sequence[Mapping[str, Any]], values: Sequence[int] | np.ndarray, path: Path) -> Path:
    """One row for each mask; nothing is written where there is none.

    Args:
        rows:   files of `mask`, `reference`, `generated` (N) and `real`, or None.
        values: that masks hold for the background and each class.
        path:   of the PNG.

    Returns:
        The path.
    """
    if not rows:
        return path
    heads = ["mask", "reference", *["generated"] * min(MOST, len(rows[0]["generated"])), "real"]
    figure = Figure(figsize=(1.6 * len(heads), 1.6 * len(rows)), layout="constrained")
    for number, (axes, row) in enumerate(zip(figure.subplots(len(rows), len(heads), squeeze=False), rows, strict=True)):
        pictures = [_coloured(row["mask"], values), *map(_read, [row["reference"], *row["generated"][:MOST]])]
        pictures.append(np.full_like(pictures[-1], 255) if row["real"] is None else _read(row["real"]))
        for axis, head, picture in zip(axes, heads, pictures, strict=True):
            axis.imshow(picture)
            axis.set_axis_off()
            if not number:
                axis.set_title(head, fontsize=8)
    return save_figure(figure, path, dpi=100)


def _read(path: str | Path) -> np.ndarray:
    """(H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _coloured(path: str | Path, values: Sequence[int] | np.ndarray) -> np.ndarray:
    """A mask (H, W) -> (H, W, 3), whatever stands for its classes."""
    numbers = np.zeros(256, np.uint8)
    numbers[values] = range(len(values))
    with Image.open(path) as image:
        coloured = Image.fromarray(numbers[np.asarray(image)])
    coloured.putpalette(palette())
    return np.asarray(coloured.convert("RGB"))
