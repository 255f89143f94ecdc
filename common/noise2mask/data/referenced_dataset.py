"""Training tiles with a reference each: what DSDM is to take the style from (DiffusionDCI, section III).

The paper's reference is "a noise-free image", and nothing says that it differs from the one to be made. The same image
alone would teach copying: so it is turned or mirrored, and half of the time another tile of the same slide and the
same dominant class takes its place, one that shares no pixel with it.

Legend: C channels, K classes, S = K - 1 structures, H W size.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..meta import without_meta
from ..seeding import derived_seed
from .slice_dataset import SliceDataset
from .symmetry import laid, symmetries_of
from .tile_place import overlapping

FEW = 64  # so many tiles are tried: of a slide with thousands hardly any overlap


def dominant_class(masks: Tensor) -> int:
    """Of structures' masks (S, H, W): the largest one's number from 1 up; 0, the background, where there is none."""
    areas = masks.flatten(1).sum(1)  # (S,)
    return 1 + int(areas.argmax()) if areas.any() else 0


class ReferencedDataset(SliceDataset):
    """`SliceDataset` of pictures whose items have a `reference` (C, H, W), drawn anew in every epoch.

    Args:
        data:        items of a datalist, with a `slide` where it is known; else the patient counts, else each image.
            With a `place`, too (see `tile_place`), tiles that overlap are no references of one another.
        transform:   gives `image` (C, H, W) and `label`, one-hot (K, H, W); cached up to the first random one.
        seed:        of augmentation and references.
        other:       probability of another tile, where there is one.
        num_workers: threads that fill the cache.

    Raises:
        ValueError: as `SliceDataset`, or where the probability is none.
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Sequence[Callable] | Callable,
        seed: int = 0,
        other: float = 0.5,
        num_workers: int | None = None,
    ) -> None:
        if not 0 <= other <= 1:
            raise ValueError(f"other_reference is {other}, expected a probability from 0 to 1: change it.")
        super().__init__(data, transform, seed, num_workers)
        self.other = other
        kinds = [
            (item.get("slide", item.get("patient", i)), dominant_class(item["label"][1:]))
            for i, item in enumerate(self._cache)
        ]
        alike = defaultdict(list)
        for i, kind in enumerate(kinds):
            alike[kind].append(i)
        self.alike = [alike[kind] for kind in kinds]  # of each tile those like it, itself among them

    def drawn(self, index: int, *which: int) -> dict[Hashable, Any]:
        """Item `index` with the augmentation and the reference of this epoch."""
        item: Mapping[Hashable, Any] = super().drawn(index, *which)
        index %= len(self)
        draw = random.Random(derived_seed(self.seed, self.epoch, index, *which, 1))
        another = self._another(index, draw) if draw.random() < self.other else None
        # Of the tile itself as it is in this epoch: the augmentation might undo the turn of the one on the disk.
        reference = without_meta((another or item)["image"])  # (C, H, W)
        return {**item, "reference": laid(reference, draw.choice(symmetries_of(reference))).contiguous()}

    def _another(self, index: int, draw: random.Random) -> Mapping[Hashable, Any] | None:
        """A tile like this one that shares no pixel with it; None where there is none."""
        own, alike = self._cache[index], self.alike[index]
        for i in draw.sample(alike, len(alike)) if len(alike) <= FEW else (draw.choice(alike) for _ in range(FEW)):
            if i != index and not overlapping(own, self._cache[i]):
                return self._cache[i]
        return None
