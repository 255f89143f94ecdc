"""Generated tiles beside the training tiles that are nearest to them, to see whether they are copies.

Legend: Q generated tiles, T training tiles, S side of a tile.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from ..data.symmetry import laid
from ..data.tile_images import unit_range
from .figure import save_figure

COUNT = 8  # rows of the picture


def write_nearest_tiles(
    nearest: Sequence[Mapping[str, Any]], generated: Tensor, training: Tensor, path: Path, count: int = COUNT
) -> Path:
    """A row for each of the closest: generated | nearest training tile, as it was turned | difference.

    Args:
        nearest:   "nearest" of `memorisation`, the closest first.
        generated: (Q, 3, S, S), uint8 or in [0, 1].
        training:  (T, 3, S, S), the same.
        path:      of the PNG.
        count:     how many of the closest are shown.

    Returns:
        The path.

    Raises:
        ValueError: where there is nothing to show.
    """
    shown = nearest[:count]
    if not shown:
        raise ValueError("There are no generated tiles to show: make some, or ask for one row at least.")
    figure = Figure(figsize=(6, 2.2 * len(shown)), layout="constrained")
    for axes, row in zip(figure.subplots(len(shown), 3, squeeze=False), shown, strict=True):
        pictures = _pictures(row, generated, training)
        for axis, picture, title in zip(axes, pictures, _titles(row), strict=True):
            axis.imshow(picture.permute(1, 2, 0).numpy(), vmin=0, vmax=1)  # (S, S, 3)
            axis.set_title(title, fontsize=7)
            axis.set_axis_off()
    return save_figure(figure, path, dpi=100)


def _pictures(row: Mapping[str, Any], generated: Tensor, training: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three times (3, S, S), in [0, 1]."""
    tile = unit_range(generated[[row["generated"]]])[0].cpu()
    other = laid(unit_range(training[[row["training"]]])[0].cpu(), row["way"])
    return tile, other, (tile - other).abs()


def _titles(row: Mapping[str, Any]) -> tuple[str, str, str]:
    mark = " (suspicious)" if row["suspicious"] else ""
    way = " (turned or mirrored)" if row["way"] else ""
    distances = f"distance {row['distance']:.4f}\npixels differ by {row['pixel_rms']:.3f}"
    return f"generated {row['generated']}{mark}", f"training tile {row['training']}{way}", distances
