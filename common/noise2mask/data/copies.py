"""The same image under two names, in two sections of a data set."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..digest import sha256_once
from .item_paths import paths_of

Items = Sequence[Mapping[str, Any]]


def copies(some: Items, others: Items) -> list[tuple[str, str]]:
    """Pairs of an image of the first and one of the second that have other names and the same content.

    Only files of the same size are read. A volume may be a folder of DICOM files, the same where their names are, too.
    """
    first, second = _sizes(some), _sizes(others)
    both = {*first.values()} & {*second.values()}
    content = {sha256_once(path): path for path, size in first.items() if size in both}
    alike = (
        (content.get(sha256_once(path)), path) for path, size in second.items() if size in both and path not in first
    )
    return [(twin, path) for twin, path in alike if twin is not None]


def _sizes(items: Items) -> dict[str, int]:
    """Bytes of each image; of a folder all together."""
    return {path: _bytes([*Path(path).iterdir()] if Path(path).is_dir() else [path]) for path in _images(items)}


def _images(items: Items) -> Iterable[str]:
    return (path for item in items for path in paths_of(item["image"]))


def _bytes(files: Iterable[str | Path]) -> int:
    return sum(Path(file).stat().st_size for file in files)
