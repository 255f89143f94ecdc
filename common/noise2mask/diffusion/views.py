"""Views of an image at test time: mirrored, nearer or farther; what is sampled of a view is laid back onto the image.

Samples that see different views differ by what the network makes of orientation and size too, not by their noise alone
(test-time augmentation as uncertainty: Wang et al., Neurocomputing 338, 2019).

Legend: B images, N samples, V views, C channels, H W size, for volumes H W D.
"""

from collections.abc import Sequence
from math import lcm
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

AS_IT_IS: dict[str, Any] = {"flips": [[]], "zooms": [1.0]}  # settings of an inferer: the image alone


class View(NamedTuple):
    """One way of looking at an image."""

    axes: tuple[int, ...] = ()  # along which it is mirrored: 0 rows, 1 columns, 2 slices
    zoom: float = 1.0  # above 1 nearer: its margins are not seen

    def of(self, image: Tensor) -> Tensor:
        """(B, C, H, W[, D]) as seen, of the same shape; beyond the image's edge its border goes on.

        Raises:
            ValueError: where the image lacks an axis.
        """
        if any(axis > image.ndim - 3 for axis in self.axes):
            found = f"flips has axis {max(self.axes)}, this network takes images with axes 0 to {image.ndim - 3}"
            raise ValueError(f"{found}: correct it.")
        return _zoomed(self._mirrored(image), self.zoom)  # (B, C, H, W[, D])

    def back(self, seen: Tensor) -> Tensor:
        """(B, C, H, W[, D]) in the view's place -> in the image's."""
        return self._mirrored(_zoomed(seen, 1 / self.zoom))  # (B, C, H, W[, D])

    def _mirrored(self, x: Tensor) -> Tensor:
        """Not copied where nothing is mirrored: samples of volumes are large."""
        return x.flip([2 + axis for axis in self.axes]) if self.axes else x


def _zoomed(x: Tensor, zoom: float) -> Tensor:
    """About the centre, bilinear."""
    if zoom == 1:
        return x
    axes = x.ndim - 2
    scale = torch.cat([torch.eye(axes) / zoom, torch.zeros(axes, 1)], dim=1).to(x)  # (axes, axes + 1)
    grid = affine_grid(scale.expand(len(x), -1, -1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def count_of_views(flips: Sequence[Sequence[int]], zooms: Sequence[float]) -> int:
    """V, how many samples see other views before the first view comes again."""
    return lcm(len(flips), len(zooms))


def views_of(flips: Sequence[Sequence[int]], zooms: Sequence[float], samples: int) -> list[tuple[View, range]]:
    """Sample n sees flips[n mod their number] at zooms[n mod their number]: each view that occurs, with its samples.

    Args:
        flips:   of each the axes that are mirrored, such as [[], [1]].
        zooms:   factors above 0.
        samples: N, at least 1.

    Raises:
        ValueError: where a list is empty, an axis is none of an image, or a factor is not above 0.
    """
    if not flips or not all(axis in (0, 1, 2) for axes in flips for axis in axes):
        found = [list(axes) for axes in flips]
        raise ValueError(f"flips is {found}; expected lists of axes 0, 1 or 2, such as [[], [1]]: correct it.")
    if not zooms or not all(zoom > 0 for zoom in zooms):
        raise ValueError(f"zooms is {list(zooms)}; expected factors above 0, such as [1.0, 1.2]: correct it.")
    count = count_of_views(flips, zooms)
    return [
        (View(tuple(flips[n % len(flips)]), zooms[n % len(zooms)]), range(n, samples, count))
        for n in range(min(count, samples))
    ]
