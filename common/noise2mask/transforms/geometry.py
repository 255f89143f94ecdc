"""Where a changed picture's pixels lie in the world: `MetaTensor.affine` kept right by transforms that MONAI has not.

Legend: C channels, H W size before, h w after.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

AFFINE = "affine"  # of before, in the extra information of a transform


def moved(image: Tensor, columns: Sequence[Sequence[float]], shift: Sequence[float]) -> None:
    """Tell a MetaTensor where its pixels come from; a plain tensor knows no place.

    Args:
        image:   (C, h, w[, D]), already changed.
        columns: (2, 2), index before = columns @ (row, column) + shift.
        shift:   (2,), in pixels of before.
    """
    if hasattr(image, "affine"):
        change = torch.eye(4, dtype=torch.float64)
        change[:2, :2] = torch.tensor(columns, dtype=torch.float64)
        change[:2, 3] = torch.tensor(shift, dtype=torch.float64)
        image.affine = image.affine.to(torch.float64) @ change


def place_of(image: Tensor) -> dict[str, Tensor]:
    """To be remembered, before a change."""
    return {AFFINE: image.affine.clone()} if hasattr(image, "affine") else {}


def put_back(image: Tensor, remembered: dict[str, Tensor]) -> Tensor:
    """The image, at the place it had before the change."""
    if AFFINE in remembered and hasattr(image, "affine"):
        image.affine = remembered[AFFINE]
    return image
