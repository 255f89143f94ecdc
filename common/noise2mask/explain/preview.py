"""The preview picture of a result: image, contour, probability, uncertainty.

Legend: H W size; a volume shows the slice with most foreground.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .colours import colour_of, style_of
from .figure import save_figure

AXIAL = nib.orientations.axcodes2ornt(("P", "L", "S"))
SIDES = "axial slice; left of the picture is the patient's right"


def write_preview(
    image: np.ndarray,
    probability: np.ndarray,
    std: np.ndarray,
    path: Path,
    title: str,
    structures: Mapping[str, np.ndarray] | None = None,
    affine: np.ndarray | None = None,
) -> Path:
    """Four panels side by side.

    Args:
        image:       (W, H), (3, W, H) in red, green and blue, or (X, Y, Z), any range.
        probability: (W, H) or (X, Y, Z), in [0, 1]; the contour is drawn at 0.5. Of several structures the largest.
        std:         same shape, in [0, 0.5].
        path:        of the PNG.
        title:       such as the case's name and triage number.
        structures:  of several, name -> mask of the same shape, whose contours are drawn instead.
        affine:      (4, 4), of a volume; None: its axes run to the right, to the front and upwards.

    Returns:
        The path.
    """
    where = side_words(probability)
    image = picture_of(image, probability, affine)  # (H, W) or (H, W, 3)
    masks = {name: rows_of(mask, probability, affine) for name, mask in (structures or {}).items()}  # (H, W) each
    probability, std = (rows_of(array, probability, affine) for array in (probability, std))  # (H, W) each
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    axes = figure.subplots(1, 4)
    for axis, name in zip(axes, ("image", "contour", "probability", "uncertainty (standard deviation)"), strict=True):
        axis.set_title(name, fontsize=9)
        axis.set_axis_off()
    for axis in axes[:2]:
        axis.imshow(image, cmap="gray")
    if structures is not None:
        _draw_structures(axes[1], masks)
    elif probability.min() <= 0.5 < probability.max():
        axes[1].contour(probability, levels=[0.5], colors="#ff9d00", linewidths=1.2)
    figure.colorbar(axes[2].imshow(probability, cmap="viridis", vmin=0, vmax=1), ax=axes[2], shrink=0.8)
    figure.colorbar(axes[3].imshow(std, cmap="magma", vmin=0, vmax=0.5), ax=axes[3], shrink=0.8)
    figure.suptitle(f"{title}{where}", fontsize=9)
    return save_figure(figure, path, dpi=100)


def _draw_structures(axis: Axes, masks: Mapping[str, np.ndarray]) -> None:
    """Contours of those that are in this slice, masks (H, W), with a legend."""
    shown = []
    for number, (name, mask) in enumerate(masks.items(), start=1):
        if mask.any() and not mask.all():
            look: dict[str, Any] = {"linewidths": 1.2, "linestyles": style_of(number), "colors": colour_of(number)}
            axis.contour(mask, levels=[0.5], **look)
            shown.append(Line2D([], [], color=colour_of(number), linestyle=style_of(number), label=name))
    if shown:
        axis.legend(handles=shown, fontsize=6, loc="lower right", framealpha=0.6)


def side_words(array: np.ndarray) -> str:
    """What is said of a volume (X, Y, Z): which side is which."""
    return f"   {SIDES}" if array.ndim == 3 else ""


def picture_of(image: np.ndarray, probability: np.ndarray, affine: np.ndarray | None = None) -> np.ndarray:
    """(W, H) or (X, Y, Z) -> (H, W) as `rows_of`; (3, W, H) -> (H, W, 3), from 0, its least value, to 1."""
    if image.ndim == probability.ndim:
        return rows_of(image, probability, affine)
    least, most = float(image.min()), float(image.max())
    return (image.T - least) / max(most - least, 1e-6)


def rows_of(array: np.ndarray, probability: np.ndarray, affine: np.ndarray | None = None) -> np.ndarray:
    """(W, H) or (X, Y, Z) -> (H, W) of the picture, or of the axial slice with most foreground, as viewers show it."""
    if array.ndim == 2:
        return array.T
    array, probability = (_axial(own, affine) for own in (array, probability))  # (H, W, D) each
    return array[..., int(probability.sum(axis=(0, 1)).argmax())]


def _axial(volume: np.ndarray, affine: np.ndarray | None) -> np.ndarray:
    """(X, Y, Z) -> rows to the patient's back, columns to the left, slices upwards."""
    found = nib.io_orientation(np.eye(4) if affine is None else affine)
    return np.asarray(nib.apply_orientation(volume, nib.orientations.ornt_transform(found, AXIAL)))
