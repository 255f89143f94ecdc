"""Figures 10 and 11 of PGDiffSeg in spirit: what more steps and more samples give, and what they cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Locator, LogLocator, NullLocator, StrMethodFormatter

from .figure import save_figure
from .lines import draw_dice, look_of
from .sampler_figure import TITLES

APART = 1.04  # by which steps are multiplied from line to line, so that intervals do not hide one another


def write_settings_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Dice with its interval and seconds per image against steps, a line for each sampler, start and samples.

    Args:
        rows: of `SettingsStudy`, one per setting: `sampler`, `start`, `steps`, `samples`, `dice`, `dice_low`,
            `dice_high`, `seconds_per_image` and, of a network with a prior, `dice_of_the_prior`; an end of an interval
            is None where there is none. What needs no step is a horizontal line.
        path: of the PNG.

    Returns:
        The path.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    quality, time = figure.subplots(1, 2)
    lines = settings_lines(rows)
    for number, (title, own) in enumerate(lines.items()):
        apart = APART ** (number - (len(lines) - 1) / 2)
        draw_dice(quality, [row["steps"] * apart for row in own], own, {**look_of(number), "label": title})
        time.plot([row["steps"] for row in own], [row["seconds_per_image"] for row in own], **look_of(number))
    _draw_alone(quality, time, rows)
    steps = sorted({row["steps"] for own in lines.values() for row in own})
    for axes, label in ((quality, "mean Dice over patients, with its 95 % interval"), (time, "seconds per image")):
        axes.set_xscale("log")
        axes.set(xlabel="steps", ylabel=label)
        _number(axes.xaxis, FixedLocator(steps))
    time.set_yscale("log")
    _number(time.yaxis, LogLocator(subs=(1, 2, 3, 5, 7)))
    figure.legend(*quality.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return save_figure(figure, path, dpi=120)


def settings_lines(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows with steps by what their line is called, each line's in the order of their steps."""
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted((row for row in rows if row["steps"]), key=lambda row: row["steps"]):
        start = "" if row["start"] is None else f", from the prior at {row['start']}"
        samples = f"{row['samples']} sample{'s' if row['samples'] > 1 else ''}"
        lines.setdefault(f"{TITLES.get(row['sampler'], row['sampler'])}, {samples}{start}", []).append(row)
    return lines


def without_steps(rows: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Dice and seconds of the coarse mask alone: of the row without steps, or the Dice of the prior beside others."""
    for row in rows:
        if not row["steps"]:
            return row["dice"], row["seconds_per_image"]
    return next((row["dice_of_the_prior"] for row in rows if "dice_of_the_prior" in row), None), None


def _draw_alone(quality: Axes, time: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Dashed lines of what needs no step."""
    dice, seconds = without_steps(rows)
    if dice is not None:
        quality.axhline(dice, color="black", linestyle=(0, (6, 4)), linewidth=1, label="prior or anchor alone")
    if seconds is not None:
        time.axhline(seconds, color="black", linestyle=(0, (6, 4)), linewidth=1)


def _number(axis: Axis, at: Locator) -> None:
    """Plain numbers at these places of a logarithmic axis, as 0.1, and nothing between them."""
    axis.set_major_locator(at)
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
