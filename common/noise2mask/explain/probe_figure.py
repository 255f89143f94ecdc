"""Figure 3 of DiffusionDCI: the mean IoU of small decoders by block and timestep, as a heat map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .figure import save_figure


def write_probe_figure(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> Path:
    """A column per block, a row per timestep, the number in each field.

    Args:
        rows:  with `block`, `timestep` and `miou_with_background`; every block at every timestep.
        title: above the figure.
        path:  of the PNG.
    """
    blocks, timesteps = (sorted({row[name] for row in rows}) for name in ("block", "timestep"))
    values = np.full((len(timesteps), len(blocks)), np.nan)
    for row in rows:
        values[timesteps.index(row["timestep"]), blocks.index(row["block"])] = row["miou_with_background"]
    figure = Figure(figsize=(2.5 + 0.6 * len(blocks), 1.8 + 0.35 * len(timesteps)), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (i, k), value in np.ndenumerate(values):
        axes.text(k, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color="wk"[int(value > middle)])
    axes.set_xticks(range(len(blocks)), [str(block) for block in blocks])
    axes.set_yticks(range(len(timesteps)), [str(timestep) for timestep in timesteps])
    axes.set(xlabel="block of the decoder, 0 the deepest", ylabel="timestep")
    axes.set_title(title, fontsize=8, wrap=True)
    figure.colorbar(shown, label="mean IoU, background with it")
    return save_figure(figure, path, dpi=120)
