"""Segments whole slides: tiles with overlap through the network, blended, to a label map, an overview and a table.

Only a row of tiles is in memory. Tiles without tissue are background, and not looked at.

Legend: K classes, S = K - 1 structures, s side of a tile at the network, h w rows and columns of the slide at the
network, H W its own size.
"""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite import distributed as idist
from PIL import Image
from torch import nn

from .. import __version__
from ..data.problems import refuse
from ..data.slide_colours import SlideColours, fit, to_slide
from ..data.slide_pyramid import write_pyramid
from ..data.slide_strips import Placed, blended
from ..data.splits import natural
from ..data.tiles import Cut, padded, resized, starts, tissue
from ..data.whole_slide import SUFFIXES, Slide, open_slide
from ..digest import sha256
from ..files import atomic_file, check_writable, write_text_atomically
from ..handlers.batch import MADE_FROM, recipe
from ..handlers.resolved_config import fingerprint, resolved_config
from ..metrics.score_files import csv_text
from ..ranks import Share, gathered
from .fusion import fuse
from .inferer import EnsembleInferer
from .uncertainty import standard_deviation

logger = logging.getLogger(__name__)

OVERVIEW = 2048  # most rows and columns of the map of the standard deviation
TABLE = "classes.csv"


class SlideSegmenter:
    """Of each slide `<stem>_mask.tif`, `<stem>_std.png` and `<stem>.json`; of all `classes.csv`.

    Args:
        network:         with its weights.
        inferer:         of tiles.
        structures:      names of the classes but the background, channel 0.
        output_dir:      where results go; slides that are finished there are not done again.
        model_file:      the weights.
        tile_size:       side of a tile in pixels of the slide, as the network was trained with.
        image_size:      what the network sees of it, s x s.
        stride:          pixels from tile to tile; None: the largest that fits, up to three quarters of tile_size.
        luminance:       L of CIELAB that is tissue, above and up to.
        normalise:       give every tile the mean colours of its slide, which is read once more for that.
        intensity_range: values that become -1 and +1.
        tiles_at_once:   which bounds the memory.
        device:          of the network.

    Raises:
        ValueError: where tiles are not square, or the stride is no whole number of the network's pixels.
    """

    def __init__(
        self,
        network: nn.Module,
        inferer: EnsembleInferer,
        structures: Iterable[str],
        output_dir: str,
        model_file: str,
        tile_size: int,
        image_size: Sequence[int],
        stride: int | None = None,
        luminance: Sequence[float] = (10.0, 100.0),
        normalise: bool = False,
        intensity_range: Sequence[float] = (0, 255),
        tiles_at_once: int = 8,
        device: torch.device | str = "cpu",
    ) -> None:
        if tile_size < 1:
            raise ValueError(
                f"tile_size is {tile_size}, expected the side of the training's tiles in pixels: change it."
            )
        side, other = image_size
        low, high = luminance
        unit = tile_size // math.gcd(tile_size, side)  # at its multiples a tile begins at a pixel of the network
        stride = max(tile_size * 3 // 4 // unit, 1) * unit if stride is None else stride
        self.cut = Cut(tile_size, stride, side, luminance=(low, high))
        if side != other or stride % unit:
            found = f"image_size is {list(image_size)}, tile_size {tile_size}, stride {stride}"
            raise ValueError(f"{found}; expected a square, and a stride that is a multiple of {unit}: change it.")
        self.network, self.inferer, self.normalise = network, inferer, normalise
        self.names = ["background", *structures]
        self.low, self.high = intensity_range
        self.tiles_at_once, self.device = tiles_at_once, device
        self.folder, self.weights = Path(output_dir), sha256(model_file)
        check_writable(self.folder)
        settings = {"inferer": inferer.settings, "names": self.names, "normalise": normalise, "cut": asdict(self.cut)}
        settings |= {"intensity_range": list(intensity_range), "version": __version__}
        self.recipe = recipe({**fingerprint(resolved_config()), **settings})

    def __call__(self, source: str | Path) -> list[dict[str, Any]]:
        """Segment a slide, or a folder of them; those that can not be are told at the end.

        Several processes share the slides, and the first writes the table.

        Returns:
            Lines of the table.

        Raises:
            ValueError: where there is no slide, one stands in the output folder, two have one stem, or some could not
                be segmented; it names them all.
        """
        slides = list(slides_of(Path(source), self.folder).items())
        done: list[tuple[int, list[dict[str, Any]], str]] = []  # number of the slide, its lines, what is wrong with it
        for number in Share(slides):
            stem, path = slides[number]
            try:
                done.append((number, self._finished(stem, path) or self.segment(stem, path), ""))
            except ValueError as error:
                done.append((number, [], str(error)))
        done = sorted(gathered(done))
        rows = [row for _, lines, _ in done for row in lines]
        if idist.get_rank() == 0:
            write_text_atomically(csv_text(self._known()), self.folder / TABLE)
        problems = [problem for *_, problem in done if problem]
        refuse(f"{len(problems)} of {len(slides)} slides could not be segmented", problems)
        return rows

    def _known(self) -> list[dict[str, Any]]:
        """Lines of all slides that have a record in the folder, of earlier calls with this network, too."""
        own = {"weights": self.weights, "config": self.recipe}
        rows: list[dict[str, Any]] = []
        for path in sorted(self.folder.glob("*.json"), key=lambda path: natural(path.name)):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                rows += record["rows"] if own.items() <= record[MADE_FROM].items() else []
            except (ValueError, TypeError, KeyError, AttributeError):  # another file, or a damaged one
                continue
        return rows

    def segment(self, stem: str, path: Path) -> list[dict[str, Any]]:
        """One slide -> its lines of the table; its record is written last."""
        (self.folder / f"{stem}.json").unlink(missing_ok=True)  # first: its files will not be what it says
        counts, deviation = np.zeros(len(self.names), np.int64), _Overview()
        with open_slide(path) as slide:
            if max(slide.size) < self.cut.tile_size:
                found = f"{path.name} has {slide.size[0]} x {slide.size[1]} pixels, less than one tile of"
                logger.warning(f"{found} {self.cut.tile_size}: is --tile-size that of the training's tiles?")
            step = self.cut.tile_size / self.cut.image_size  # pixels of the slide for one of the network
            size = [int(np.ceil(side / step)) for side in slide.size]  # h, w
            deviation.step = -(-max(size) // OVERVIEW)
            strips = blended(self.tiles(slide, stem), size[1], size[0])
            labels = _at_full_size(_labels(strips, deviation), slide.size, step)
            with atomic_file(self.folder / f"{stem}_mask.tif") as file:
                write_pyramid(_seen(labels, counts), slide.size, file)
        with atomic_file(self.folder / f"{stem}_std.png") as file:
            Image.fromarray(deviation.picture()).save(file, "PNG")
        spread = deviation.mean() if self.inferer.samples > 1 else float("nan")
        rows = _rows(path, self.names, counts, spread)
        record = {"slide": str(path), "rows": rows, MADE_FROM: self._made_from(path)}
        write_text_atomically(json.dumps(record, indent=2), self.folder / f"{stem}.json")
        logger.info(f"{path.name}: " + ", ".join(f"{row['class']} {row['fraction']:.1%}" for row in rows))
        return rows

    def tiles(self, slide: Slide, stem: str) -> Iterator[Placed]:
        """First row and column at the network, and (K + 1, s, s): probabilities and standard deviation."""
        colours = self._colours(slide, stem) if self.normalise else {}
        waiting: list[tuple[int, int, np.ndarray | None]] = []
        for (top, left), tile, share in self._images(slide, self.cut):
            place = (top * self.cut.image_size // self.cut.tile_size, left * self.cut.image_size // self.cut.tile_size)
            waiting.append((*place, self._prepared(tile, colours.get(stem)) if share else None))
            if sum(one is not None for *_, one in waiting) == self.tiles_at_once:
                yield from self._inferred(waiting)
                waiting = []
        yield from self._inferred(waiting)

    def _colours(self, slide: Slide, stem: str) -> dict[str, SlideColours]:
        """Of tiles side by side, as those of a training; none of a slide without tissue."""
        side_by_side = replace(self.cut, stride=self.cut.tile_size)
        tiles = ((stem, tile) for _, tile, share in self._images(slide, side_by_side) if share)
        return fit(tiles, self.cut.luminance)

    def _images(self, slide: Slide, cut: Cut) -> Iterator[tuple[tuple[int, int], np.ndarray, float]]:
        """Place on the slide, tile (3, s, s) in [0, 255] and the part of it that is tissue."""
        for top in starts(slide.size[0], cut):
            rows = slide.colours(top, min(top + cut.tile_size, slide.size[0]))  # (., W, 3)
            for left in starts(slide.size[1], cut):
                own = rows[:, left : left + cut.tile_size]
                whole, _ = padded(own, np.zeros(own.shape[:2], np.uint8), cut)
                tile = resized(whole, cut, Image.Resampling.BOX)  # (s, s, 3)
                yield (top, left), tile.transpose(2, 0, 1), tissue(tile, own.shape[:2], cut)

    def _prepared(self, tile: np.ndarray, colours: SlideColours | None) -> np.ndarray:
        """(3, s, s) in [0, 255] -> in [-1, 1]."""
        moved = tile if colours is None else to_slide(tile, colours, self.cut.luminance)
        scaled = (np.asarray(moved, np.float32) - self.low) / (self.high - self.low)
        return 2 * scaled.clip(0, 1) - 1

    def _inferred(self, waiting: Sequence[tuple[int, int, np.ndarray | None]]) -> Iterator[Placed]:
        """The tiles with tissue in one batch; the others are background, for sure."""
        seen = [tile for *_, tile in waiting if tile is not None]
        found: Iterator[np.ndarray] = iter(())
        if seen:
            samples = self.inferer.sample(
                torch.from_numpy(np.stack(seen)).to(self.device), self.network
            )  # (B, N, K, ..)
            probability = fuse(samples, self.inferer.fusion, self.inferer.exclusive)  # (B, K, s, s)
            deviation = standard_deviation(samples).amax(dim=1, keepdim=True)  # (B, 1, s, s)
            found = iter(torch.cat([probability, deviation], dim=1).float().cpu().numpy())
        for top, left, tile in waiting:
            yield top, left, self._background() if tile is None else next(found)

    def _background(self) -> np.ndarray:
        empty = np.zeros((len(self.names) + 1, self.cut.image_size, self.cut.image_size), np.float32)
        empty[0] = 1
        return empty

    def _made_from(self, path: Path) -> dict[str, str]:
        state = path.stat()
        return {"slide": f"{state.st_size} {state.st_mtime_ns}", "weights": self.weights, "config": self.recipe}

    def _finished(self, stem: str, path: Path) -> list[dict[str, Any]] | None:
        """The lines of a slide that an earlier call has finished."""
        try:
            record: Mapping[str, Any] = json.loads((self.folder / f"{stem}.json").read_text(encoding="utf-8"))
            there = all((self.folder / f"{stem}_{kind}").is_file() for kind in ("mask.tif", "std.png"))
            return list(record["rows"]) if there and record[MADE_FROM] == self._made_from(path) else None
        except (OSError, ValueError, TypeError, KeyError):  # none, or damaged
            return None


def slides_of(source: Path, output: Path) -> dict[str, Path]:
    """Stem -> path, of a slide or a folder of them.

    Raises:
        ValueError: where there is none, one stands in the output folder, or two have one stem.
    """
    if not source.exists():
        raise ValueError(f"{source} does not exist: give a slide, or a folder of slides.")
    files = [source] if source.is_file() else sorted(source.iterdir()) if source.is_dir() else []
    found: dict[str, Path] = {}
    others = [path.name for path in files if path.is_file() and not path.name.lower().endswith(SUFFIXES)]
    if others and len(others) < len(files):
        logger.warning(f"{', '.join(others[:5])}: not segmented, of an unknown kind; expected {' '.join(SUFFIXES)}.")
    for path in files:
        ending = next((own for own in SUFFIXES if path.name.lower().endswith(own)), None)
        if ending is None or path.name.startswith("."):
            continue
        stem = path.name[: -len(ending)]
        if path.resolve().parent == output.resolve():
            raise ValueError(f"{path} stands in the output folder and might be overwritten: give another output_dir.")
        if stem in found:
            raise ValueError(f"{path} and {found[stem]} would write the same files: rename one.")
        found[stem] = path
    if not found:
        raise ValueError(f"{source} holds no slide; expected {' '.join(SUFFIXES)}: give another path.")
    return found


class _Overview:
    """The standard deviation of a slide, of every step-th row and column."""

    step = 1

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []
        self.first, self.total, self.count = 0, 0.0, 0

    def add(self, strip: np.ndarray, labels: np.ndarray) -> None:
        """(h, w) in [0, 0.5], and the classes of its pixels (h, w)."""
        self.rows.append(strip[-self.first % self.step :: self.step, :: self.step])
        self.first += len(strip)
        self.total += float(strip[labels > 0].sum())
        self.count += int((labels > 0).sum())

    def picture(self) -> np.ndarray:
        """(., .) uint8: 255 is 0.5, the largest that there is."""
        return (np.concatenate(self.rows) * 510).round().clip(0, 255).astype(np.uint8)

    def mean(self) -> float:
        """Over the pixels of all classes but the background, which is mostly glass; NaN where there is none."""
        return self.total / self.count if self.count else float("nan")


def _labels(strips: Iterable[np.ndarray], deviation: _Overview) -> Iterator[np.ndarray]:
    """(K + 1, h, w) -> (h, w) uint8; the last channel goes to the overview."""
    for strip in strips:
        labels = strip[:-1].argmax(0).astype(np.uint8)
        deviation.add(strip[-1], labels)
        yield labels


def _at_full_size(labels: Iterable[np.ndarray], size: tuple[int, int], step: float) -> Iterator[np.ndarray]:
    """Strips (h, w) of the network's pixels -> strips of the slide's: each has the class of the one that it lies in."""
    columns = (np.arange(size[1]) / step).astype(int)  # (W,)
    first = done = 0
    for strip in labels:
        last = min(size[0], int(np.ceil((first + len(strip)) * step)))
        rows = (np.arange(done, last) / step).astype(int) - first
        yield strip[rows.clip(0, len(strip) - 1)][:, columns]
        first, done = first + len(strip), last


def _seen(strips: Iterable[np.ndarray], counts: np.ndarray) -> Iterator[np.ndarray]:
    """The same; the pixels of each class are counted as they pass."""
    for strip in strips:
        counts += np.bincount(strip.ravel(), minlength=len(counts))
        yield strip


def _rows(path: Path, names: Sequence[str], counts: np.ndarray, deviation: float) -> list[dict[str, Any]]:
    """A line for each class."""
    tissue_pixels = max(1, int(counts[1:].sum()))
    return [
        {
            "slide": path.name,
            "class": name,
            "pixels": int(count),
            "fraction": round(count / counts.sum(), 6),
            "fraction_of_structures": round(count / tissue_pixels, 6) if number else "",
            "mean_std": "" if math.isnan(deviation) else round(deviation, 6),
        }
        for number, (name, count) in enumerate(zip(names, counts.tolist(), strict=True))
    ]
