"""A cached data set of slices whose random transforms depend on (seed, epoch, index) alone.

Most networks here see slices: a picture is one, a volume is as many as it has along its last axis. Files are read and
prepared once, volumes whole (so that grey values can be scaled per patient), and handed out slice by slice, or whole to
networks of three dimensions. Since augmentation follows from seed, epoch and index, it is the same whatever the number
of workers, and an epoch that is repeated after a crash is the same too. Masks are kept as bytes, a quarter of floats.
Random transforms see plain tensors: MONAI's bookkeeping of what they did took as long as their work.

Legend: C channels, H W rows and columns, D slices.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from threading import RLock
from typing import Any

import torch
from monai.data import CacheDataset, get_track_meta, set_track_meta
from monai.transforms import Compose, RandomizableTrait, Transform
from torch import Tensor

from ..meta import SOURCE, without_meta
from ..seeding import derived_seed
from .datalist import is_path
from .item_paths import name_of

_switch = RLock()  # held while MONAI's meta data are switched off


class SliceDataset(CacheDataset):
    """`monai.data.CacheDataset` that gives slices and reseeds its transforms for every one.

    Args:
        data:        items of a datalist.
        transform:   MONAI transforms; what comes before the first random one is applied to files and cached, the
                     rest to slices, or to whole volumes.
        seed:        of the augmentation.
        slices:      False hands volumes out whole.
        num_workers: threads that fill the cache.
        progress:    show a bar while the cache is filled.

    Raises:
        ValueError: where `data` is empty, or tensors of one item differ in their number of slices.
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Sequence[Callable] | Callable,
        seed: int = 0,
        num_workers: int | None = None,
        progress: bool = False,
        slices: bool = True,
    ) -> None:
        if not data:
            raise ValueError("The data set is empty: check the folder and its datalist.")
        super().__init__(data, transform, num_workers=num_workers, progress=progress)
        self.seed = seed
        self.epoch = 0
        depths = [_depth(item) for item in self._cache]
        self.places: list[tuple[int, int | None]] = [
            (file, k) for file, depth in enumerate(depths) for k in (range(depth) if slices else [None])
        ]

    def _load_cache_item(self, idx: int) -> Any:
        return packed(super()._load_cache_item(idx))

    def __len__(self) -> int:
        """Number of slices, or of files."""
        return len(self.places)

    def set_epoch(self, epoch: int) -> None:
        """Take the augmentation of this epoch from now on; workers that start later see it too."""
        self.epoch = epoch

    def _transform(self, index: int) -> Any:
        return self.drawn(index)

    def drawn(self, index: int, *which: int) -> Any:
        """Item `index` with the augmentation of this epoch; `which` numbers several of one item."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")  # ends `for item in dataset`
        index %= len(self)
        file, k = self.places[index]
        cached, transform = self._cache[file], self.transform
        first = transform.get_index_of_first(_is_random) if isinstance(transform, Compose) else None
        if not isinstance(transform, Compose) or first is None:
            return _part(cached, k)
        transform.set_random_state(seed=derived_seed(self.seed, self.epoch, index, *which))
        with _untracked():
            item = transform(_part(_plain(cached), k), start=first)
        return {**item, **_source(self.data[file], k if _depth(cached) > 1 else None)}


def kept(item: Mapping[Any, Any], transform: Compose) -> dict[Hashable, Any]:
    """What a `SliceDataset` keeps of an item of a datalist."""
    return packed(transform(item, end=transform.get_index_of_first(_is_random)))


def packed(item: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """The item with a float32 `label` as uint8, where that holds its values."""
    label = item.get("label")
    if not isinstance(label, Tensor) or label.dtype != torch.float32:
        return dict(item)
    small = label.to(torch.uint8)
    return {**item, "label": small} if torch.equal(small.to(torch.float32), label) else dict(item)


def _unpacked(value: Any) -> Any:
    return value.to(torch.float32) if isinstance(value, Tensor) and value.dtype == torch.uint8 else value


def _is_random(transform: Any) -> bool:
    """As `CacheDataset` decides what to cache."""
    return isinstance(transform, RandomizableTrait) or not isinstance(transform, Transform)


def _depth(item: Mapping[Hashable, Any]) -> int:
    """D of the item's volumes (C, H, W, D); 1 for pictures."""
    depths = {value.shape[3] for value in item.values() if _is_volume(value)}
    if len(depths) > 1:
        raise ValueError(f"{item.get('image', 'an item')} has tensors of {sorted(depths)} slices: they must agree.")
    return depths.pop() if depths else 1


def _part(item: Mapping[Hashable, Any], k: int | None) -> dict[Hashable, Any]:
    """Copies: slice k of every volume (without the rest of it), and all else; the whole item where k is None."""
    contiguous = torch.contiguous_format
    copies = {
        key: value[..., k].clone(memory_format=contiguous) if k is not None and _is_volume(value) else deepcopy(value)
        for key, value in item.items()
    }
    return {key: _unpacked(value) if key == "label" else value for key, value in copies.items()}


def _source(item: Any, k: int | None) -> dict[Hashable, Any]:
    """What plain tensors do not know, for errors: the image's file, and which slice; nothing of what has no path."""
    if not isinstance(item, Mapping) or not is_path(item.get("image")):
        return {}
    return {SOURCE: name_of(item) + ("" if k is None else f" (slice {k})")}


def _plain(item: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """Tensors without meta data."""
    return {key: without_meta(value) for key, value in item.items()}


@contextmanager
def _untracked() -> Iterator[None]:
    """MONAI's transforms make plain tensors inside, in one thread at a time: its switch is one for the process."""
    with _switch:
        before = get_track_meta()
        set_track_meta(False)
        try:
            yield
        finally:
            set_track_meta(before)


def _is_volume(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4
