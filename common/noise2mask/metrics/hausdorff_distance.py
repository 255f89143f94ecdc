"""HD95: how far the outline of a mask is from that of the label."""

from collections.abc import Sequence

from monai.metrics import compute_hausdorff_distance
from torch import Tensor


def hausdorff_distance_95(mask: Tensor, label: Tensor, spacing: Sequence[float] | None = None) -> float:
    """The larger of both directed 95th percentiles of distances between the outlines.

    Args:
        mask:    (H, W) or (H, W, D) in {0, 1}.
        label:   same shape.
        spacing: size of a pixel along each axis, in mm; None counts pixels.

    Returns:
        The distance, or NaN where mask or label is empty: there is no outline to measure from.
    """
    if not (mask.any() and label.any()):
        return float("nan")
    distance = compute_hausdorff_distance(mask[None, None], label[None, None], percentile=95, spacing=spacing)
    return distance.item()
