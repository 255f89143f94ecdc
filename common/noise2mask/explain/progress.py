"""The picture of a training: some validation images, each with its label and with what the network of the moment makes.

Drawn without matplotlib, in a few milliseconds: a training writes it at every validation.

Legend: C channels, S structures, K classes, H W size, h w size of a panel.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from ..data.structures import label_map
from .colours import coloured, red_green_blue

SIDE = 160  # longest side of a panel in pixels
GAP = 4  # white pixels between panels
OPACITY = 0.45  # of a mask over its image


def progress_picture(cases: Sequence[tuple[Tensor, Tensor, Tensor]]) -> np.ndarray:
    """A row per case: image, label over it, mask over it.

    Args:
        cases: image (C, H, W[, D]) of any range; label and mask (S, H, W[, D]) in {0, 1}. Three channels are red, green
            and blue, of others the first is shown; of a volume the slice with most of the label.

    Returns:
        (rows, columns, 3) uint8.
    """
    return _stacked([_row(*(_slice(part, label) for part in (image, label, mask))) for image, label, mask in cases])


def generation_picture(cases: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> np.ndarray:
    """A row per case: mask, reference, generated image, real image.

    Args:
        cases: mask, one-hot (K, H, W) with the background first; reference, generated and real image (C, H, W) in
            [0, 1]. Three channels are red, green and blue, of others the first is shown.

    Returns:
        (rows, columns, 3) uint8.
    """
    return _stacked(
        [_joined([coloured(label_map(mask[1:]).numpy()), *map(_picture, images)]) for mask, *images in cases]
    )


def _slice(part: Tensor, label: Tensor) -> Tensor:
    """(., H, W) -> as it is; (., H, W, D) -> (., H, W)."""
    return part if part.ndim == 3 else part[..., int(label.sum(dim=(0, 1, 2)).argmax())]


def _row(image: Tensor, label: Tensor, mask: Tensor) -> np.ndarray:
    """(h, w, 3) uint8 of three panels."""
    shown = red_green_blue(image)  # (3, H, W)
    picture = _picture((shown - shown.min()) / (shown.max() - shown.min()).clamp(min=1e-6))  # (H, W, 3)
    return _joined([picture, _over(picture, label), _over(picture, mask)])


def _picture(image: Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] -> (H, W, 3) in [0, 255]."""
    return red_green_blue(image).permute(1, 2, 0).numpy() * 255


def _over(picture: np.ndarray, masks: Tensor) -> np.ndarray:
    """Structures in their colours over (H, W, 3)."""
    numbers = label_map(masks).numpy()  # (H, W)
    return np.where((numbers > 0)[..., None], (1 - OPACITY) * picture + OPACITY * coloured(numbers), picture)


def _joined(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Panels beside one another, each with a gap behind it."""
    panels = [np.pad(_resized(picture), [(0, 0), (0, GAP), (0, 0)], constant_values=255) for picture in pictures]
    return np.concatenate(panels, axis=1)


def _stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows below one another, the shorter ones filled, each with a gap below it."""
    width = max(row.shape[1] for row in rows)
    filled = [np.pad(row, [(0, GAP), (0, width - row.shape[1]), (0, 0)], constant_values=255) for row in rows]
    return np.concatenate(filled)


def _resized(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (h, w, 3) uint8, by the nearest pixel."""
    high, wide = picture.shape[:2]
    scale = SIDE / max(high, wide)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    return np.asarray(Image.fromarray(picture.round().astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
