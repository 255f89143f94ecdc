"""Cross-entropy over exclusive classes, of labelled pixels alone (DiffusionDCI, section IV-B).

Legend: B batch, K classes, H W size.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn


class ClassLoss(nn.Module):
    """Mean over labelled pixels of -log softmax at the pixel's class; 0 where no pixel is labelled."""

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Scalar.

        Args:
            output: of a segmenter in train mode, `logits` (B, K, H, W).
            target: `mask` one-hot (B, K, H, W); a pixel without a class, all zero, is not counted.
        """
        mask = target["mask"]  # (B, K, H, W)
        losses = -(F.log_softmax(output["logits"].float(), dim=1) * mask).sum()
        return losses / mask.sum().clamp(min=1)
