"""How scores fall when images get worse, as curves: of one network, or of several beside one another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..transforms.corruption import CORRUPTIONS
from .figure import save_figure
from .lines import draw_dice, look_of
from .robustness_table import AS_THEY_ARE, Row

APART = 0.012  # of the reach of severities, from line to line, so that intervals do not hide one another


def write_robustness_figure(results: Mapping[str, Sequence[Row]], path: Path) -> Path:
    """A column per corruption: Dice with its interval above, the mean triage number below, worse to the right.

    Args:
        results: title of each network, which may be empty of one alone -> its rows, as of `RobustnessStudy`.
        path:    of the PNG.

    Returns:
        The path.
    """
    studied = {row["corruption"] for rows in results.values() for row in rows}
    names = [name for name in CORRUPTIONS if name in studied]
    figure = Figure(figsize=(3.2 * len(names) + 0.8, 5.6), layout="constrained")
    panels = figure.subplots(2, len(names), sharex="col", sharey="row", squeeze=False)
    for (quality, doubt), name in zip(panels.T, names, strict=True):
        for number, (title, rows) in enumerate(results.items()):
            apart = (number - (len(results) - 1) / 2) * APART
            _draw(quality, doubt, curve(rows, name), apart, {**look_of(number), "label": title})
        doubt.set_xlabel(f"{name}\n({CORRUPTIONS[name].unit})")
        if CORRUPTIONS[name].unchanged:
            doubt.invert_xaxis()  # that of the whole column
    panels[0, 0].set_ylabel("mean Dice over patients,\nwith its 95 % interval")
    panels[1, 0].set_ylabel("mean triage number")
    if any(results):
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return save_figure(figure, path, dpi=110)


def curve(rows: Sequence[Row], corruption: str) -> list[tuple[float, Row]]:
    """Severity and row of each point, from mild to strong; it begins at the images as they are."""
    own = [row for row in rows if row["corruption"] in (AS_THEY_ARE, corruption)]
    unchanged = CORRUPTIONS[corruption].unchanged
    points = [(unchanged if row["severity"] is None else row["severity"], row) for row in own]
    return sorted(points, key=lambda point: -point[0] if unchanged else point[0])


def _draw(
    quality: Axes, doubt: Axes, points: Sequence[tuple[float, Row]], apart: float, look: Mapping[str, Any]
) -> None:
    """One network's two lines; a triage number that is not there leaves a gap."""
    rows, severities = [row for _, row in points], [severity for severity, _ in points]
    shift = apart * (max(severities) - min(severities))
    at = [severity + shift for severity in severities]
    draw_dice(quality, at, rows, look)
    doubt.plot(at, [float("nan") if row["triage"] is None else row["triage"] for row in rows], **look)
