"""Figure 10 of PGDiffSeg: mean Dice (solid) and its variance (dashed, right axis) against network evaluations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .figure import save_figure

TITLES = {
    "ddim": "DDIM",
    "dpm_solver": "DPM-Solver",
    "dpm_solver_multistep": "DPM-Solver, multistep",
    "dpm_solver_pp": "DPM-Solver++",
    "unipc": "UniPC",
}


def write_sampler_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """One colour per sampler; DDPM as a horizontal line.

    Args:
        rows: with `sampler`, `evaluations`, `dice_mean`, `dice_variance`.
        path: of the PNG.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    names = dict.fromkeys(row["sampler"] for row in rows if row["sampler"] in TITLES)
    for number, name in enumerate(names):
        own = sorted((row for row in rows if row["sampler"] == name), key=lambda row: row["evaluations"])
        evaluations = [row["evaluations"] for row in own]
        colour = f"C{number}"
        left.plot(evaluations, [row["dice_mean"] for row in own], "-o", color=colour, markersize=3, label=TITLES[name])
        right.plot(evaluations, [row["dice_variance"] for row in own], "--", color=colour, linewidth=1)
    for row in rows:
        if row["sampler"] == "ddpm":
            label = f"DDPM, {row['evaluations']} evaluations"
            left.axhline(row["dice_mean"], color="black", linewidth=1, label=label)
    left.set(xlabel="network evaluations", ylabel="mean Dice (solid)")
    right.set_ylabel("variance of Dice over the repeats (dashed)")
    right.set_ylim(bottom=0)
    left.legend(fontsize=8)
    return save_figure(figure, path, dpi=120)
