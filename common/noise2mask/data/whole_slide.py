"""Rows of a whole-slide image, or of its mask, without the rest of it in memory.

TIFF, OME-TIFF and SVS are read by tifffile: of tiles and strips those that hold the rows, of uncompressed files the
rows themselves; always the full resolution. Compressions such as JPEG, JPEG 2000 and LZW need the package imagecodecs
(extra `slides`). Pillow can not read a part of a PNG, so PNGs are taken up to a size in memory only.

Legend: H W size, h number of rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tifffile import TiffFile, TiffPage

TIFFS = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs")
SUFFIXES = (*TIFFS, ".png")
WHOLE = 600_000_000  # bytes that may be in memory at once where a part alone can not be read


@dataclass
class Slide:
    """An open slide or mask.

    Args:
        path: of the file.
        size: rows and columns.
        read: first and last row (not included) -> (h, W) or (h, W, channels), as stored.
    """

    path: Path
    size: tuple[int, int]
    read: Callable[[int, int], np.ndarray]

    def colours(self, first: int, last: int) -> np.ndarray:
        """Rows of a slide: (h, W, 3) uint8, red, green and blue.

        Raises:
            ValueError: where they are of another kind, transparent or damaged; it names the file.
        """
        rows = self._rows(first, last)
        if rows.ndim == 3 and rows.shape[2] == 4 and rows[..., 3].min() == 255:
            rows = rows[..., :3]
        if rows.ndim != 3 or rows.shape[2] != 3 or rows.dtype != np.uint8:
            raise ValueError(
                f"{self.path} has {_kind(rows)}; expected opaque red, green and blue of 8 bits: convert it."
            )
        return rows

    def classes(self, first: int, last: int) -> np.ndarray:
        """Rows of a mask: (h, W) uint8.

        Raises:
            ValueError: where they are of another kind or damaged; it names the file.
        """
        rows = self._rows(first, last)
        if rows.ndim != 2 or rows.dtype not in (np.uint8, np.bool_):
            raise ValueError(f"{self.path} has {_kind(rows)}; expected one channel of 8 bits, a class in each pixel.")
        return rows.astype(np.uint8, copy=False)

    def _rows(self, first: int, last: int) -> np.ndarray:
        try:
            return self.read(first, last)
        except Exception as error:  # decoders raise anything
            raise ValueError(f"{self.path} can not be read ({error}): {_remedy(error)}.") from error


def _kind(rows: np.ndarray) -> str:
    return f"{1 if rows.ndim == 2 else rows.shape[2]} channels of type {rows.dtype}"


def _remedy(error: Exception) -> str:
    missing = "imagecodecs" in str(error)
    return 'python -m pip install -c constraints.txt ".[slides]"' if missing else "replace the file"


@contextmanager
def open_slide(path: Path) -> Iterator[Slide]:
    """A slide or mask for reading.

    Raises:
        ValueError: where the file is damaged, cut off, of an unknown kind, or too large to be read as it is stored; it
            names the file.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{path} is of an unknown kind, expected {' '.join(SUFFIXES)}: convert it.")
    opened: Any = None
    try:
        opened = TiffFile(path) if path.name.lower().endswith(TIFFS) else _open_png(path)
        slide = _of_tiff(path, opened) if isinstance(opened, TiffFile) else _of_png(path, opened)
    except Exception as error:
        if opened is not None:
            opened.close()
        if isinstance(error, _Unfit):
            raise
        raise ValueError(f"{path} can not be read ({error}): replace the file.") from error
    with opened:
        yield slide


class _Unfit(ValueError):
    """A file that is whole, but not for us."""


# PNG


def _open_png(path: Path) -> Image.Image:
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # `WHOLE` is the bound here, before anything is decoded
    try:
        return Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = most


def _of_png(path: Path, picture: Image.Image) -> Slide:
    width, height = picture.size
    needed = width * height * (1 if picture.mode in ("1", "L", "P") else 4)  # Pillow keeps colours in four bytes
    if needed > WHOLE:
        raise _Unfit(_too_large(path, "a PNG", needed))
    picture.load()
    return Slide(path, (height, width), lambda first, last: np.asarray(picture.crop((0, first, width, last))))


def _too_large(path: Path, what: str, needed: int) -> str:
    found = f"{path} is {what} that can only be read whole, which takes {needed / 1e6:.0f} MB"
    return f"{found}; expected at most {WHOLE / 1e6:.0f} MB: save it as a tiled TIFF."


# TIFF


def _of_tiff(path: Path, file: TiffFile) -> Slide:
    pages = file.series[0].levels[0].pages
    page = pages[0]
    if len(pages) != 1 or not isinstance(page, TiffPage) or page.imagedepth != 1:
        raise _Unfit(f"{path} has {len(pages)} planes, expected one picture: save red, green and blue in one.")
    if page.dtype is None:
        raise _Unfit(f"{path} has samples of a kind that has no name; expected 8 bits: save it anew.")
    needed = max(start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))
    if needed > file.filehandle.size:
        found = f"{path} is cut off: it has {file.filehandle.size} bytes, expected at least {needed}"
        raise _Unfit(f"{found}; copy it again.")
    size = (page.imagelength, page.imagewidth)
    if page.is_memmappable:
        kind = np.dtype(f"{file.byteorder}{page.dtype.char}")
        return Slide(path, size, lambda first, last: _stored(path, page, kind, first, last))
    length = page.tilelength if page.is_tiled else page.rowsperstrip
    needed = min(length, size[0]) * size[1] * page.samplesperpixel * page.dtype.itemsize
    if not page.is_tiled and needed > WHOLE:
        raise _Unfit(_too_large(path, "a TIFF with strips", needed))
    return Slide(path, size, lambda first, last: _decoded(page, first, last))


def _channels_last(rows: np.ndarray) -> np.ndarray:
    """(planes, h, W, samples) -> (h, W) or (h, W, channels)."""
    planes, height, width, samples = rows.shape
    rows = rows[0] if planes == 1 else rows[..., 0].transpose(1, 2, 0)
    return rows[..., 0] if planes * samples == 1 else rows


def _stored(path: Path, page: TiffPage, kind: np.dtype, first: int, last: int) -> np.ndarray:
    """Rows of an uncompressed page; the map is dropped at once, for its pages count as memory."""
    planes, _, height, width, samples = page.shaped
    whole = np.memmap(path, kind, "r", page.dataoffsets[0], (planes, height, width, samples))
    return _channels_last(np.array(whole[:, first:last]))


def _decoded(page: TiffPage, first: int, last: int) -> np.ndarray:
    """Rows put together from the tiles or strips that hold them; one is decoded at a time."""
    planes, _, height, width, samples = page.shaped
    length, across = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, width)
    down, columns = -(-height // length), -(-width // across)
    rows = np.full((planes, last - first, width, samples), page.nodata, page.dtype)
    for plane in range(planes):
        for row in range(first // length, -(-last // length)):
            for column in range(columns):
                index = (plane * down + row) * columns + column
                _paste(rows[plane], _segment(page, index), row * length - first, column * across)
    return _channels_last(rows)


def _segment(page: TiffPage, index: int) -> np.ndarray | None:
    """One tile or strip (h, w, samples), at a border perhaps beyond the picture; None where it was left out."""
    file = page.parent.filehandle
    file.seek(page.dataoffsets[index])
    data = file.read(page.databytecounts[index]) if page.databytecounts[index] else None
    tables = (
        {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if page.jpegtables or page.jpegheader else {}
    )
    segment = page.decode(data, index, **tables)[0]
    return None if segment is None else segment[0]


def _paste(rows: np.ndarray, segment: np.ndarray | None, top: int, left: int) -> None:
    """Write into rows (h, W, samples) what of a segment lies in them; `top` may be negative."""
    if segment is not None:
        segment = segment[max(0, -top) : len(rows) - top, : rows.shape[1] - left]
        top = max(0, top)
        rows[top : top + segment.shape[0], left : left + segment.shape[1]] = segment
