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
        self.others = [  # of each tile those like it
            [j for j in alike[kind] if j != i and not overlapping(self._cache[i], self._cache[j])]
            for i, kind in enumerate(kinds)
        ]

    def drawn(self, index: int, *which: int) -> dict[Hashable, Any]:
        """Item `index` with the augmentation and the reference of this epoch."""
        item: Mapping[Hashable, Any] = super().drawn(index, *which)
        index %= len(self)
        draw = random.Random(derived_seed(self.seed, self.epoch, index, *which, 1))
        others = self.others[index]
        another = self._cache[draw.choice(others)] if others and draw.random() < self.other else None
        # Of the tile itself as it is in this epoch: the augmentation might undo the turn of the one on the disk.
        reference = without_meta((another or item)["image"])  # (C, H, W)
        return {**item, "reference": laid(reference, draw.choice(symmetries_of(reference))).contiguous()}
