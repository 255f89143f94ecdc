"""The pictures of a case for the page: sheets of tiles, as data URIs.

Legend: F frames (samples or steps; 1 of what has neither), C channels, H W size, D slices; every array is uint8.
"""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from ..explain.case_file import UNLABELLED, CaseRecord, shown_number
from ..explain.colours import coloured

MOST_SIDE = 256  # of a tile: a screen shows no more beside a second picture
MOST_SHEET = 4096  # pixels of a sheet's side, which browsers decode anywhere
THUMBNAIL = 72
NUMBERS = ("mask", "label", "samples")  # what holds numbers of structures, of which every pixel must stay as it is
WHOLE = ("mask", "probability", "std", "entropy", "label")  # without an axis of channels, samples or steps before
NEEDED = ("image", "mask", "probability", "std", "entropy", "samples")
QUALITY = {"image": 85, "noisy": 20}  # of WebP; noise takes most of the room, and nobody looks at its pixels


def case_layers(record: CaseRecord) -> dict[str, Any]:
    """What the page's viewer draws of a case.

    Returns:
        `size` (rows and columns of a tile), `spacing` (of them), `slices` (numbers; None of a picture), `axis` and
        `axcodes` (of a volume; None where they are not known), `structures`, `timesteps`, `samples` (how many), `start`
        (the slice to begin with), and `sheets`: by name a data URI of tiles in rows, all frames of slice after slice
        after each other: tile frame * D + slice.
    """
    arrays = _frames(record)
    side = _side(arrays)
    first = next(iter(arrays.values()))
    sheets = {name: _sheet(array, name, side) for name, array in arrays.items()}
    height, width = _reduced(first.shape[1:3], side)
    facts = record.facts
    return {
        "size": [height, width],
        "spacing": _spacing(record),
        "slices": facts.get("slices"),
        "axis": facts.get("axis"),
        "axcodes": facts.get("axcodes"),
        "start": shown_number(record) if record.mask.ndim == 3 else 0,
        "structures": facts.get("structures", []),
        "timesteps": record.timesteps.tolist(),
        "samples": len(record.samples),
        "sheets": sheets,
    }


def thumbnail(record: CaseRecord) -> str:
    """Image with the outlines of mask and label in two colours; of several structures, of their masks in theirs."""
    shown = (..., shown_number(record)) if record.mask.ndim == 3 else ...
    image, mask = record.image[shown], record.mask[shown]  # (C, H, W), (H, W)
    several = len(record.facts.get("structures", [])) > 1  # whose label would be outlined in the mask's colours
    label = None if record.label is None or several else record.label[shown]
    height, width = np.multiply(mask.shape, _spacing(record))
    factor = THUMBNAIL / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))  # as Pillow has it
    colours = np.array(Image.fromarray(_rows(image)).convert("RGB").resize(size, Image.Resampling.BILINEAR))
    for numbers, shift in ((label, 1), (mask, 0)):  # the mask on top
        if numbers is not None:
            small = np.array(Image.fromarray(numbers).resize(size, Image.Resampling.NEAREST))
            for number in set(np.unique(small)) - {0, UNLABELLED}:
                colours[_outline(small == number)] = coloured(number + shift)
    return _uri(Image.fromarray(colours), quality=80)


def check_record(record: CaseRecord) -> None:
    """See that the arrays of a case belong together.

    Raises:
        ValueError: where they do not.
    """
    shape, arrays = record.mask.shape, _named(record)
    missing = [name for name in NEEDED if name not in arrays]
    if missing or len(shape) not in (2, 3):
        raise ValueError(f"it has no {missing[0]}" if missing else f"its mask is of {shape}, expected 2 or 3 axes")
    for name, array in arrays.items():
        own = array.shape if name in WHOLE else array.shape[1:]
        if own != shape or array.dtype != np.uint8:
            raise ValueError(f"its {name} is {array.dtype} of {own}, expected uint8 of {shape}")
    if len(record.image) not in (1, 3):
        raise ValueError(f"its image has {len(record.image)} channels, expected 1 or 3")


def _named(record: CaseRecord) -> dict[str, np.ndarray]:
    """What can be shown: a label is not always there, and a network without steps has none."""
    arrays = {name: getattr(record, name) for name in CaseRecord._fields if name not in ("facts", "timesteps")}
    return {name: array for name, array in arrays.items() if array is not None and array.size}


def _frames(record: CaseRecord) -> dict[str, np.ndarray]:
    """All as (F, H, W, C, D)."""
    depth = record.mask.shape[2] if record.mask.ndim == 3 else 1
    height, width = record.mask.shape[:2]
    frames = {name: array.reshape(-1, height, width, 1, depth) for name, array in _named(record).items()}
    colours = record.image.reshape(-1, height, width, depth)  # (C, H, W, D)
    return frames | {"image": colours.transpose(1, 2, 0, 3)[None]}


def _side(arrays: dict[str, np.ndarray]) -> int:
    """The longest that a tile's side may be."""
    tiles = max(len(array) * array.shape[4] for array in arrays.values())
    return min(MOST_SIDE, MOST_SHEET // _columns(tiles))


def _columns(tiles: int) -> int:
    """Of a sheet that is about as wide as high."""
    return int(np.ceil(np.sqrt(tiles)))


def _reduced(size: tuple[int, ...], side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _sheet(array: np.ndarray, name: str, side: int) -> str:
    """(F, H, W, C, D) -> a data URI."""
    height, width = _reduced(array.shape[1:3], side)
    tiles = array.transpose(0, 4, 1, 2, 3).reshape(-1, *array.shape[1:4])  # (F * D, H, W, C)
    columns = _columns(len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * height, columns * width, array.shape[3]), np.uint8)
    how = Image.Resampling.NEAREST if name in NUMBERS else Image.Resampling.BOX
    for number, tile in enumerate(tiles):
        if tile.shape[:2] != (height, width):
            small = Image.fromarray(tile.squeeze(-1) if tile.shape[-1] == 1 else tile).resize((width, height), how)
            tile = np.asarray(small).reshape(height, width, -1)
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = tile
    image = Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet)
    return _uri(image, quality=QUALITY.get(name, 80), lossless=name in NUMBERS)


def _uri(image: Image.Image, **how: Any) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", method=4, **how)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _spacing(record: CaseRecord) -> list[float]:
    """Height and width of a pixel, of which the smaller is 1; square where it is not known."""
    found = record.facts.get("spacing") or [1.0, 1.0]
    least = min(found)
    return [float(value / least) for value in found] if least > 0 else [1.0, 1.0]


def _rows(image: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (H, W) or (H, W, 3), as Pillow has it."""
    return np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask (H, W) with a neighbour outside of it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
