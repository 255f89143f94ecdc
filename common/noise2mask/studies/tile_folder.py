"""Folders of tiles: which class each shows, and new folders that are there whole or not at all."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..data.reader import MaskReader
from ..files import check_writable

BACKGROUND = 0  # its value in masks


def class_pixels(mask: Path) -> dict[int, int]:
    """Pixels of every value of a mask, in the order of the values.

    Raises:
        ValueError: where it can not be read or holds other than whole numbers; it names the file.
    """
    values, counts = np.unique(MaskReader().channels(mask)[0], return_counts=True)
    if (values % 1).any():
        raise ValueError(f"{mask} holds the value {values[values % 1 != 0][0]}; expected whole numbers: correct it.")
    return dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True))


def dominant(pixels: Mapping[int, int]) -> int:
    """The class with most pixels, the lowest of equal ones; the background only where there is nothing else."""
    tissue = {value: count for value, count in pixels.items() if value != BACKGROUND}
    return max(sorted(tissue), key=lambda value: tissue[value], default=BACKGROUND)


def is_new(folder: Path) -> bool:
    """Whether there is nothing at a path, or an empty folder."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A folder beside a new `output`, whose name it gets when all went well.

    Its name is fixed, so that what a killed process leaves behind is removed by the next.

    Raises:
        ValueError: where the folder around it can not be written to.
    """
    output = output.resolve()
    check_writable(output.parent)
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        for path in (path for path in part.rglob("*") if path.is_file()):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        if output.exists():
            output.rmdir()  # an empty one, which Windows does not replace
        os.replace(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
