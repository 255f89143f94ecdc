"""Two augmented views of every image, for contrastive training (Chen et al. 2020, SimCLR, figure 2).

Legend: C channels, H W size.
"""

from typing import Any

from .slice_dataset import SliceDataset


class TwoViews(SliceDataset):
    """`SliceDataset` whose items are `image` and `view`, (C, H, W) each: its augmentation drawn twice."""

    def _transform(self, index: int) -> dict[str, Any]:
        first, second = (self.drawn(index, number)["image"] for number in (0, 1))
        return {"image": first, "view": second}
