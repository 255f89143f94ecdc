"""A cached data set whose random transforms depend on (seed, epoch, index) alone.

So augmentation is the same whatever the number of workers, and an epoch that is repeated after a crash is the same too.
"""

from collections.abc import Callable, Sequence
from typing import Any

from monai.data import CacheDataset
from monai.transforms import Compose, Randomizable

from ..seeding import derived_seed


class SeededDataset(CacheDataset):
    """`monai.data.CacheDataset` that reseeds its transforms for every item.

    Args:
        data:        items of a datalist.
        transform:   MONAI transforms; what comes before the first random one is cached.
        seed:        of the augmentation.
        num_workers: threads that fill the cache.
        progress:    show a bar while the cache is filled.

    Raises:
        ValueError: where `data` is empty.
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Sequence[Callable] | Callable,
        seed: int = 0,
        num_workers: int | None = None,
        progress: bool = False,
    ) -> None:
        if not data:
            raise ValueError("The data set is empty: check the folder and its datalist.")
        super().__init__(data, transform, num_workers=num_workers, progress=progress)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the augmentation of this epoch from now on; workers that start later see it too."""
        self.epoch = epoch

    def _transform(self, index: int) -> Any:
        transform = self.transform
        if isinstance(transform, Compose | Randomizable):
            transform.set_random_state(seed=derived_seed(self.seed, self.epoch, index % len(self)))
        return super()._transform(index)
