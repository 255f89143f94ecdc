"""Strips and animations: the same picture again and again, such as at each step of a sampler.

Legend: H W size of a picture.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from ..files import atomic_file
from .caption import captioned
from .figure import save_figure

SIDE = 1.1  # longest side of a picture of a strip in inches, unless it is given
LINE, CHARACTERS = 0.2, 12  # height of a line of text in inches, characters of one in an inch
PAD = 0.02  # around each, in inches
LEAST = 256  # longest side of a frame in pixels, at least
FRAME, LAST_FRAME = 200, 2000  # milliseconds that a frame is shown


def write_strip(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]],
    titles: Sequence[str],
    path: Path,
    title: str = "",
    pixel: float = 1.0,
    side: float = SIDE,
) -> Path:
    """A figure of rows of pictures.

    Args:
        rows:   name and pictures of each row, all of one size: (H, W) in [0, 1], drawn in viridis, or (H, W, 3) uint8,
            drawn as they are. A row with fewer pictures than there are titles ends with empty places.
        titles: one above each column.
        path:   of the PNG.
        title:  above all.
        pixel:  height of a pixel over its width.
        side:   longest side of a picture in inches.

    Returns:
        The path.

    Raises:
        ValueError: where pictures differ in size, or a row has more of them than there are titles.
    """
    aspect = pixel * np.divide(*_size([picture for _, pictures in rows for picture in pictures]))  # H / W
    _check_lengths(rows, titles)
    close = ConstrainedLayoutEngine(w_pad=PAD, h_pad=PAD, wspace=0, hspace=0)
    width, height = _inches(aspect, len(rows), len(titles), side)
    above = fill(title, max(20, round(width * CHARACTERS)))  # as many lines as it takes
    lines = above.count("\n") + bool(title) + max(name.count("\n") for name in titles)
    figure = Figure(figsize=(width, height + LINE * lines), layout=close)
    figure.suptitle(above, fontsize=9)
    left = list(titles)  # of columns that have none yet
    for axes, (name, pictures) in zip(figure.subplots(len(rows), len(titles), squeeze=False), rows, strict=True):
        axes[0].set_ylabel(name, fontsize=8)
        for column, axis in enumerate(axes):
            axis.set(xticks=[], yticks=[], frame_on=False)
            axis.set_box_aspect(aspect)
            if column < len(pictures):
                axis.imshow(pictures[column], cmap="viridis", vmin=0, vmax=1, interpolation="nearest", aspect=pixel)
                axis.set_title(left[column], fontsize=8)
                left[column] = ""
    return save_figure(figure, path, dpi=150)


def pixel_of(spacing: Sequence[float]) -> float:
    """Height of a pixel over its width, of the distances of rows and of columns."""
    return float(spacing[0] / spacing[1]) if spacing[1] else 1.0


def _inches(aspect: float, rows: int, columns: int, side: float) -> tuple[float, float]:
    """Width and height of a figure around pictures whose longest side this is, with names and titles of one line."""
    width, height = side / max(1, aspect), side * min(1, aspect)
    return 0.3 + columns * (width + 2 * PAD), 0.3 + rows * (height + 2 * PAD)


def write_animation(frames: Sequence[np.ndarray], captions: Sequence[str], path: Path) -> Path:
    """A GIF that begins anew at its end, after the last frame has stood for a while.

    Args:
        frames:   (H, W, 3) uint8 of one size; enlarged, by the nearest pixel, as often as their longest side needs to
            have 256 pixels.
        captions: one below each frame, such as "timestep 500".
        path:     of the GIF.

    Returns:
        The path.

    Raises:
        ValueError: where there is no frame, frames differ in size, or there is not one caption for each.
    """
    times = max(1, -(-LEAST // max(_size(frames))))
    if len(captions) != len(frames):
        raise ValueError(f"Found {len(captions)} captions for {len(frames)} frames, expected one for each.")
    large = [frame.repeat(times, axis=0).repeat(times, axis=1) for frame in frames]
    first, *others = [Image.fromarray(captioned(*own)) for own in zip(large, captions, strict=True)]
    shown = [FRAME] * len(others) + [LAST_FRAME]
    with atomic_file(path) as file:
        first.save(file, "GIF", save_all=True, append_images=others, duration=shown, loop=0)
    return path


def _size(pictures: Sequence[np.ndarray]) -> tuple[int, int]:
    """H and W of all."""
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"Pictures have the sizes {sorted(sizes)}, expected one size.")
    return sizes.pop()


def _check_lengths(rows: Sequence[tuple[str, Sequence[np.ndarray]]], titles: Sequence[str]) -> None:
    for name, pictures in rows:
        if len(pictures) > len(titles):
            raise ValueError(f"Row {name!r} has {len(pictures)} pictures, expected at most {len(titles)}, as titles.")
