"""Figures 6 and 7 of PGDiffSeg, for any network: where its layers look, level by level, on the way from noise to mask.

Legend: B = 1 image, K classes, H W D size of the network's input, T timesteps shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from os.path import commonprefix
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..diffusion.inferer import evaluated
from ..files import write_text_atomically
from ..metrics.score_files import csv_text
from .grad_cam import heat_maps, matching_layers, scaled
from .heat import heat_inside, heated, in_colours, numbers_in_colours
from .score import check_score, score_of
from .seen import Seen
from .strip import write_strip
from .subject import Subject

Heat = dict[str, np.ndarray]  # layer -> (h, w) from 0 up
SCALE = "each map scaled to its own largest value (heat_max in attention.csv)"


class AttentionFigures:
    """Per case `attention_<name>_<grid>.png`, a row per layer and a column per timestep; for all `attention.csv`.

    Args:
        subject:      what is looked into.
        grids:        name -> layers of the network; in a name * stands for any one of its parts.
        score:        of `score.SCORES`, what the maps explain.
        before_after: two names of grids with as many layers each, such as before and after PSA: they are put below one
            another in `attention_<name>_<both>.png`, at the last timestep.

    Raises:
        ValueError: where the network has no such layer (it names those near), or the score is not one of its answers.
    """

    def __init__(
        self,
        subject: Subject,
        grids: Mapping[str, Sequence[str]],
        score: str,
        before_after: Sequence[Sequence[str]] = (),
    ) -> None:
        self.subject, self.folder = subject, subject.folder
        self.grids = {name: matching_layers(subject.network, layers) for name, layers in grids.items()}
        pairs = [tuple(pair) for pair in before_after]
        self.pairs = [pair for pair in pairs if set(pair) <= set(grids)]  # a user may have asked for other grids
        check_score(score, subject.inferer)
        self.score = score
        self.layers = list(dict.fromkeys(layer for layers in self.grids.values() for layer in layers))

    def run(self) -> list[dict[str, Any]]:
        """Look, draw, write; the rows of the table."""
        rows = []
        for seen in self.subject.cases():
            heats = list(self._heats(seen))
            self._draw(seen, heats)
            rows += [
                {"case": seen.name, "grid": grid, "layer": layer, "timestep": timestep}
                | {"slice": "" if seen.slice is None else seen.slice, "heat_max": float(heat[layer].max())}
                | {"heat_in_lesion": heat_inside(heat[layer], seen.lesion), "area_of_lesion": float(seen.lesion.mean())}
                for timestep, heat in heats
                for grid in self.grids
                for layer in self._in_order(grid, heat)
            ]
        write_text_atomically(csv_text(rows), self.folder / "attention.csv")
        return rows

    def _heats(self, seen: Seen) -> Iterator[tuple[int, Heat]]:
        """At each timestep each layer's heat map."""
        for timestep, x in self.subject.states(seen.image):
            maps = attention(self.subject, seen.image, x, timestep, self.layers, self.score)
            yield timestep, {layer: seen.shown(heat)[0] for layer, heat in maps.items()}

    def _in_order(self, grid: str, heat: Heat) -> list[str]:
        """Layers of a grid as the network evaluates them."""
        return [layer for layer in heat if layer in self.grids[grid]]

    def _draw(self, seen: Seen, heats: Sequence[tuple[int, Heat]]) -> None:
        if not heats:
            raise ValueError(f"{seen.name}: no step is taken; expected steps from 1 up: change steps.")
        names, side = beside(seen)
        times = [f"t = {timestep}" for timestep, _ in heats]
        for grid in self.grids:
            layers = self._in_order(grid, heats[0][1])
            maps = [[_drawn(seen, heat[layer]) for _, heat in heats] for layer in layers]
            if len(heats) > 1:
                rows, titles = list(zip(short_names(layers), maps, strict=True)), times + names
            else:  # a single row of them is easier to look at than a column
                rows, titles = [(times[0], [own for (own,) in maps])], short_names(layers) + names
            rows[0][1].extend(side)
            title = f"{seen.name}{seen.where}: {grid.replace('_', ' ')}, Grad-CAM of {self.score}; {SCALE}"
            write_strip(rows, titles, self.folder / f"attention_{seen.name}_{grid}.png", title, seen.pixel)
        for pair in self.pairs:
            self._draw_pair(seen, *heats[-1], pair)

    def _draw_pair(self, seen: Seen, timestep: int, heat: Heat, pair: Sequence[str]) -> None:
        names, side = beside(seen)
        layers = {name: self._in_order(name, heat) for name in pair}
        rows = [(name.replace("_", " "), [_drawn(seen, heat[layer]) for layer in layers[name]]) for name in pair]
        titles = short_names(layers[pair[0]])
        rows[0][1].extend(side)
        titles += names
        path = self.folder / f"attention_{seen.name}_{'_and_'.join(pair)}.png"
        title = f"{seen.name}{seen.where}: t = {timestep}, Grad-CAM of {self.score}; {SCALE}"
        write_strip(rows, titles, path, title, seen.pixel)


def attention(
    subject: Subject, image: Tensor, x: Tensor, timestep: int, layers: Sequence[str], score: str
) -> dict[str, Tensor]:
    """Heat maps of one evaluation.

    Args:
        subject:  whose network is evaluated, in any mode, which it is left in.
        image:    (B, C, H, W[, D]).
        x:        (B, K, H, W[, D]), what it is given beside.
        timestep: of x.
        layers:   names of modules.
        score:    of `score.SCORES`.

    Returns:
        By layer (B, h, w[, d]) from 0 up.
    """
    network = subject.network

    def evaluate() -> Tensor:
        output = network.denoise(x, torch.tensor([timestep], device=x.device), network.encode(image))
        return score_of(score, subject.inferer, cast(Tensor, output).float(), x, timestep)

    with evaluated(network):
        return heat_maps(network, layers, evaluate)


def _drawn(seen: Seen, heat: np.ndarray) -> np.ndarray:
    """A map (h, w) from 0 up over its image -> (H, W, 3) uint8."""
    return heated(seen.picture, scaled(torch.from_numpy(heat)[None])[0].numpy())


def short_names(layers: Sequence[str]) -> list[str]:
    """What tells them apart: without what all their names begin with; a number alone is a level."""
    begin = len(commonprefix(list(layers))) if len(layers) > 1 else layers[0].rfind(".") + 1
    rest = [layer[begin:] for layer in layers]
    return [f"level {name}" if name.isdigit() else name for name in rest]


def beside(seen: Seen) -> tuple[list[str], list[np.ndarray]]:
    """What stands beside its heat maps: titles, and pictures (H, W, 3) uint8."""
    mask = ("mask found", seen.found) if seen.label is None else ("label", seen.label)
    return ["image", mask[0]], [in_colours(seen.picture), numbers_in_colours(mask[1])]
