"""The files that an item of a datalist names: one of a kind, or several."""

from collections.abc import Mapping
from typing import Any


def paths_of(value: Any) -> list[str]:
    """An item's `image` or `label`, a path or a list of them -> the list."""
    return [str(path) for path in value] if isinstance(value, list | tuple) else [str(value)]


def name_of(item: Mapping[str, Any]) -> str:
    """What an item is called in messages and results: the path of its image, of several modalities the first."""
    return paths_of(item["image"])[0]
