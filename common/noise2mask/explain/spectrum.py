"""What MedSegDiff's FF-Parser has learned: its filter over the frequencies, and features before and after it.

Legend: B = 1 image, C channels, H W size of a feature map, F parsers.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..diffusion.inferer import evaluated
from ..files import write_text_atomically
from ..layers.ff_parser import FFParser
from ..metrics.score_files import csv_text
from .attention import beside
from .figure import save_figure
from .heat import resized
from .seen import Seen
from .strip import write_strip
from .subject import Subject

logger = logging.getLogger(__name__)

Features = dict[str, list[tuple[int, np.ndarray, np.ndarray]]]  # name -> timestep, before and after, (C, h, w) each

BINS = 8  # of radial frequencies, in the table


class SpectrumFigures:
    """`spectrum.png` and `spectrum.csv` of the filters; per case `spectrum_<name>.png` of the features, and their CSV.

    Args:
        subject: what is looked into.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, self.network, self.folder = subject, subject.network, subject.folder
        self.parsers = {name: own for name, own in self.network.named_modules() if isinstance(own, FFParser)}

    def run(self) -> list[dict[str, Any]]:
        """Look, draw, write; the rows of the table of filters, none of a network without FF-Parser."""
        if not self.parsers:
            logger.info(f"{type(self.network).__name__} has no FF-Parser: its figures are left out")
            return []
        strengths = list[dict[str, Any]]()
        for seen in self.subject.cases():
            features, sizes = self._features(seen)
            self._draw(seen, features)
            strengths += [
                {"case": seen.name, "parser": name, "timestep": timestep}
                | {when: float(np.abs(own).mean()) for when, own in (("before", before), ("after", after))}
                for name, parts in features.items()
                for timestep, before, after in parts
            ]
        filters = {name: centred(own, sizes[name]) for name, own in self.parsers.items()}  # (C, H, W) each
        write_spectra(filters, self.folder / "spectrum.png")
        rows = [
            {"parser": name, **magnitude, "mean_distance_from_1": distance["mean"]}
            for name, own in filters.items()
            for magnitude, distance in zip(radial_means(magnitude_of(own)), radial_means(distance_of(own)), strict=True)
        ]
        write_text_atomically(csv_text(rows), self.folder / "spectrum.csv")
        write_text_atomically(csv_text(strengths), self.folder / "spectrum_features.csv")
        return rows

    def _features(self, seen: Seen) -> tuple[Features, dict[str, torch.Size]]:
        """By parser: features around it at each timestep, and the size of its map (H, W[, D])."""
        sizes: dict[str, torch.Size] = {}
        found: Features = {name: [] for name in self.parsers}
        with torch.no_grad(), evaluated(self.network):
            for timestep, x in self.subject.states(seen.image):
                with _passed(self.parsers) as passed:
                    self.network.denoise(x, torch.tensor([timestep], device=x.device), self.network.encode(seen.image))
                for name, (before, after) in passed.items():
                    found[name].append((timestep, seen.shown(before[0]), seen.shown(after[0])))
                    sizes[name] = before.shape[2:]
        return found, sizes

    def _draw(self, seen: Seen, features: Features) -> None:
        """Means over the channels of absolute values; both pictures of a timestep share their range."""
        rows: list[tuple[str, list[np.ndarray]]] = []
        for name, parts in features.items():
            strengths = [(np.abs(before).mean(0), np.abs(after).mean(0)) for _, before, after in parts]
            most = [max(before.max(), after.max(), 1e-12) for before, after in strengths]
            for k, when in enumerate(("before", "after")):
                scaled = [
                    resized(own[k] / top, seen.picture.shape[:2]) for own, top in zip(strengths, most, strict=True)
                ]
                rows.append((f"{name} {when}", scaled))
        names, side = beside(seen)
        titles = [f"t = {timestep}" for timestep, *_ in next(iter(features.values()))] + names
        rows[0][1].extend(side)
        title = f"{seen.name}{seen.where}: mean strength of features around FF-Parser, each timestep in its own scale"
        write_strip(rows, titles, self.folder / f"spectrum_{seen.name}.png", title)


def centred(parser: FFParser, size: Sequence[int]) -> np.ndarray:
    """A filter at the frequencies of a map of this size, frequency 0 in the middle.

    Args:
        parser: whose filter.
        size:   (H, W[, D]).

    Returns:
        (C, H, W) complex; of three axes the plane through frequency 0 of the last one.
    """
    with torch.no_grad():
        half = parser.filter(torch.Size(size)).cpu().numpy()  # (C, H, W/2 + 1) or (C, H, W, D/2 + 1)
    if len(size) == 3:
        return np.fft.fftshift(half[..., 0], axes=(1, 2))  # (C, H, W)
    full = np.empty((len(half), *size), half.dtype)
    full[..., : half.shape[2]] = half
    rows, columns = -np.arange(size[0]) % size[0], -np.arange(half.shape[2], size[1]) % size[1]
    full[..., half.shape[2] :] = half[:, rows][..., columns].conj()  # a real map's other half mirrors this one
    return np.fft.fftshift(full, axes=(1, 2))  # (C, H, W)


def magnitude_of(filters: np.ndarray) -> np.ndarray:
    """Mean over the channels of the magnitude, (C, H, W) -> (H, W); 1 lets pass what comes."""
    return np.abs(filters).mean(axis=0)


def distance_of(filters: np.ndarray) -> np.ndarray:
    """Mean over the channels of |W - 1|, how much is changed at all, (C, H, W) -> (H, W)."""
    return np.abs(filters - 1).mean(axis=0)


def radial_means(values: np.ndarray) -> list[dict[str, float]]:
    """Means of (H, W) by radial frequency, in cycles per pixel up to the corners; empty rings are left out."""
    axes = np.meshgrid(*(np.fft.fftshift(np.fft.fftfreq(length)) for length in values.shape), indexing="ij")
    radius = np.hypot(*axes)
    edges = np.append(np.linspace(0, 0.5, BINS + 1), 1.0)  # beyond 0.5 there are corners alone
    rings = [(low, high, (radius >= low) & (radius < high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [
        {"frequency_from": float(low), "frequency_to": float(high), "mean": float(values[ring].mean())}
        for low, high, ring in rings
        if ring.any()
    ]


def write_spectra(filters: Mapping[str, np.ndarray], path: Path) -> Path:
    """Two panels per parser: the mean magnitude, and how far from 1 its filters (C, H, W) are."""
    figure = Figure(figsize=(3.4 * len(filters), 6.4), layout="constrained")
    for column, (name, own) in zip(figure.subplots(2, len(filters), squeeze=False).T, filters.items(), strict=True):
        panels = ((magnitude_of(own), "mean magnitude", "cividis"), (distance_of(own), "mean |W - 1|", "magma"))
        for axis, (values, title, colours) in zip(column, panels, strict=True):
            drawn = axis.imshow(values, cmap=colours, extent=(-0.5, 0.5, 0.5, -0.5))
            axis.set(title=f"{name}: {title}", xlabel="cycles per pixel, columns", ylabel="cycles per pixel, rows")
            figure.colorbar(drawn, ax=axis, shrink=0.8)
    return save_figure(figure, path)


@contextmanager
def _passed(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """What goes into and comes out of some modules while they run, by name."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = arguments[0].detach(), output.detach()

        return keep

    hooks = [own.register_forward_hook(keeper(name)) for name, own in modules.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
