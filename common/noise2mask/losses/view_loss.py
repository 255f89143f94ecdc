"""NT-Xent, the loss of SimCLR, and how often a view finds its other one (Chen et al. 2020, equation 1).

Legend: B images, P width of the projection.
"""

from collections.abc import Mapping
from typing import Any

import torch
from monai.losses import ContrastiveLoss
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..diffusion.prepare_batch import plain


def prepare_views(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    """`prepare_batch` of a MONAI trainer: both views (2B, C, H, W), the first ones first, and whose they are (2B,)."""
    first, second = (plain(batch[key], device, non_blocking) for key in ("image", "view"))
    whose = torch.arange(len(first), device=first.device).repeat(2)  # (2B,)
    return torch.cat([first, second]), whose  # (2B, C, H, W), (2B,)


class ViewLoss(nn.Module):
    """MONAI's contrastive loss of both halves of a batch of projections.

    Args:
        temperature: of the softmax over similarities.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.contrast = ContrastiveLoss(temperature=temperature)

    def forward(self, projections: Tensor, whose: Tensor) -> Tensor:
        """Projections (2B, P), whose (2B,) as of `prepare_views` -> scalar."""
        return self.contrast(*projections.float().chunk(2))


def found_views(projections: Tensor, whose: Tensor) -> Tensor:
    """Of each view whether the most similar other one is of the same image: (2B, P), (2B,) -> (2B,) in {0, 1}."""
    unit = normalize(projections.float(), dim=1)  # (2B, P)
    similar = (unit @ unit.T).fill_diagonal_(-2)  # (2B, 2B)
    return (whose[similar.argmax(dim=1)] == whose).float()  # (2B,)
