"""The picture of a training: some validation images, each with its label and with the mask of the moment.

Drawn without matplotlib, in a few milliseconds: a training writes it at every validation.

Legend: C channels, S structures, H W size, h w size of a panel.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from ..data.structures import label_map
from .colours import palette

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
    rows = [_row(*(_slice(part, label) for part in (image, label, mask))) for image, label, mask in cases]
    width = max(row.shape[1] for row in rows)
    filled = [np.pad(row, [(0, GAP), (0, width - row.shape[1]), (0, 0)], constant_values=255) for row in rows]
    return np.concatenate(filled)


def _slice(part: Tensor, label: Tensor) -> Tensor:
    """(., H, W) -> as it is; (., H, W, D) -> (., H, W)."""
    return part if part.ndim == 3 else part[..., int(label.sum(dim=(0, 1, 2)).argmax())]


def _row(image: Tensor, label: Tensor, mask: Tensor) -> np.ndarray:
    """(h, w, 3) uint8 of three panels."""
    shown = image[:3] if len(image) == 3 else image[:1].expand(3, -1, -1)  # (3, H, W)
    shown = (shown - shown.min()) / (shown.max() - shown.min()).clamp(min=1e-6)  # (3, H, W) in [0, 1]
    picture = shown.permute(1, 2, 0).numpy() * 255  # (H, W, 3)
    panels = [_resized(picture), _resized(_over(picture, label)), _resized(_over(picture, mask))]
    return np.concatenate([np.pad(panel, [(0, 0), (0, GAP), (0, 0)], constant_values=255) for panel in panels], axis=1)


def _over(picture: np.ndarray, masks: Tensor) -> np.ndarray:
    """Structures in their colours over (H, W, 3)."""
    numbers = label_map(masks).numpy()  # (H, W)
    colours = np.array(palette(), float).reshape(-1, 3)[numbers]  # (H, W, 3)
    return np.where((numbers > 0)[..., None], (1 - OPACITY) * picture + OPACITY * colours, picture)


def _resized(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (h, w, 3) uint8, by the nearest pixel."""
    high, wide = picture.shape[:2]
    scale = SIDE / max(high, wide)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    return np.asarray(Image.fromarray(picture.round().astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
