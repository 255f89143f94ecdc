"""The mean colours of whole slides, and patches moved to them: the modified Reinhard normalisation of DiffusionDCI.

Reinhard et al. 2001 give one picture the mean and deviation of another's colours. DiffusionDCI gives every patch those
of its slide, so that what differs within a slide from patch to patch goes, and what differs between slides stays. The
paper names neither the colour space nor what is averaged. Here it is CIELAB, over foreground pixels: those whose L is
above a threshold, and below another where the background is bright. A slide's mean and deviation are the means of its
patches' means and deviations, weighted by their foreground pixels. The background keeps its colours.

    python -m noise2mask.data.slide_colours FOLDER      of tiles; writes slide_colours.json and a picture beside them

Legend: H W size; ... pixels in any order.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..explain.before_after import write_before_after
from ..files import write_text_atomically
from .cielab import from_cielab, to_cielab
from .datalist import load_whole
from .item_paths import name_of
from .layouts import FILE
from .problems import refuse
from .reader import ColourReader
from .splits import KEYS

LUMINANCE = (10.0, 100.0)  # L of foreground, above and up to; 10 is the grey 27 of 255: DCI's background is black
GAIN = (0.5, 2.0)  # least and most factor of a deviation: a patch of nearly one colour is not blown up to noise
SHOWN = 6  # tiles in the picture


@dataclass
class SlideColours:
    """Of one slide: mean and standard deviation of L, a and b, and how much they were made from."""

    mean: list[float]
    deviation: list[float]
    patches: int
    pixels: int


def is_foreground(lab: np.ndarray, luminance: Sequence[float] = LUMINANCE) -> np.ndarray:
    """(3, ...) in CIELAB -> (...) bool: L above the first number, up to the second."""
    return np.asarray((lab[0] > luminance[0]) & (lab[0] <= luminance[1]))


def some_tissue(luminance: Sequence[float]) -> str:
    """What is expected of a slide, for messages."""
    return f"expected some with a luminance above {luminance[0]:g} up to {luminance[1]:g}"


def fit(patches: Iterable[tuple[str, np.ndarray]], luminance: Sequence[float] = LUMINANCE) -> dict[str, SlideColours]:
    """Colours of every slide; one patch is in memory at a time.

    Args:
        patches:   name of the slide, patch (3, H, W) in [0, 255]; in any order.
        luminance: L of foreground, above and up to, in [0, 100].

    Raises:
        ValueError: where slides have no foreground; it names them.
    """
    sums: dict[str, tuple[np.ndarray, int, int]] = {}
    for slide, patch in patches:
        lab = to_cielab(patch)
        inside = lab[:, is_foreground(lab, luminance)]  # (3, n)
        moments = np.stack([inside.mean(1), inside.std(1)]) if inside.size else np.zeros((2, 3))
        total, count, pixels = sums.get(slide, (np.zeros((2, 3)), 0, 0))
        sums[slide] = total + inside.shape[1] * moments, count + 1, pixels + inside.shape[1]
    refuse("the colours of slides can not be found", _without_foreground(sums, luminance))
    return {slide: _colours(total / pixels, count, pixels) for slide, (total, count, pixels) in sums.items()}


def _colours(moments: np.ndarray, patches: int, pixels: int) -> SlideColours:
    mean, deviation = moments.round(6).tolist()
    return SlideColours(mean, deviation, patches, pixels)


def _without_foreground(sums: Mapping[str, tuple[np.ndarray, int, int]], luminance: Sequence[float]) -> list[str]:
    remedy = f"{some_tissue(luminance)}: remove it, or change luminance"
    return [
        f"slide {slide} has no pixel of tissue in {count} patches; {remedy}."
        for slide, (_, count, pixels) in sums.items()
        if not pixels
    ]


def to_slide(image: np.ndarray, colours: SlideColours, luminance: Sequence[float] = LUMINANCE) -> np.ndarray:
    """A patch (3, H, W) in [0, 255] with its slide's mean and deviation of L, a and b -> float, clipped to [0, 255].

    x' = (x - mean of the patch) * gain + mean of the slide; gain = deviation of the slide / that of the patch, in
    `GAIN` (Reinhard et al. 2001, equations 10 and 11). A patch without foreground stays as it is.
    """
    lab = to_cielab(image)
    foreground = is_foreground(lab, luminance)  # (H, W)
    if not foreground.any():
        return image
    inside = lab[:, foreground]  # (3, n)
    mean, deviation = inside.mean(1, keepdims=True), inside.std(1, keepdims=True)
    gain = (np.array(colours.deviation)[:, None] / np.maximum(deviation, 1e-6)).clip(*GAIN)
    moved = np.array(image, dtype=np.float32)
    moved[:, foreground] = from_cielab((inside - mean) * gain + np.array(colours.mean)[:, None])
    return moved


# The file


def write_colours(colours: Mapping[str, SlideColours], luminance: Sequence[float], path: Path) -> None:
    """Colours of slides as JSON, with the luminance that they were found with."""
    content = {"luminance": list(luminance), "slides": {name: asdict(own) for name, own in colours.items()}}
    write_text_atomically(json.dumps(content, indent=2) + "\n", path)


def read_colours(path: str | os.PathLike) -> tuple[dict[str, SlideColours], tuple[float, float]]:
    """What `write_colours` has written.

    Raises:
        ValueError: where the file is missing or another; it names the file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        low, high = map(float, content["luminance"])
        return {str(name): SlideColours(**own) for name, own in content["slides"].items()}, (low, high)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "write it with `python -m noise2mask.data.slide_colours FOLDER`"
        raise ValueError(f"{path} holds no colours of slides ({error}): {hint}.") from error


# The command


def tiles_of(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """All items of a folder of tiles, each of which says its `slide`.

    Raises:
        ValueError: where one does not; it names the image.
    """
    content = load_whole(Path(folder) / FILE)
    items = [item for key in KEYS for item in content.get(key, [])]
    hint = "cut tiles with `python -m noise2mask.data.tiles`, or add it to the datalist"
    refuse(
        f"{folder} has no slides", [f"{name_of(item)} names no slide: {hint}." for item in items if "slide" not in item]
    )
    return items


def _patches(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, np.ndarray]]:
    reader = ColourReader()
    for item in items:
        yield str(item["slide"]), reader.channels(item["image"])[0]  # (3, W, H)


def main(arguments: Sequence[str] | None = None) -> None:
    """Find the mean colours of the slides of a folder of tiles, and show some tiles before and after."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.data.slide_colours", description=main.__doc__)
    parser.add_argument("folder", help="of tiles, with a datalist.json whose items say their slide")
    parser.add_argument(
        "--luminance", type=float, nargs=2, default=LUMINANCE, metavar=("ABOVE", "UP_TO"),
        help="L of CIELAB, 0 to 100, that is tissue; 0 85 leaves a white background out",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    folder = Path(options.folder)
    try:
        items = tiles_of(folder)
        colours = fit(_patches(items), options.luminance)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    write_colours(colours, options.luminance, folder / "slide_colours.json")
    shown = items[:: -(-len(items) // SHOWN)]
    pairs = [
        (Path(name_of(item)).name, tile, to_slide(tile, colours[slide], options.luminance))
        for item, (slide, tile) in zip(shown, _patches(shown), strict=True)
    ]
    write_before_after(pairs, folder / "slide_colours.png")
    print(f"{folder / 'slide_colours.json'}: slides {len(colours)}, tiles {len(items)}; picture slide_colours.png")


if __name__ == "__main__":
    main()
