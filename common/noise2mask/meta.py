"""Tensors without MONAI's meta data, which costs time in every operation and says nothing of a result."""

from torch import Tensor


def without_meta(tensor: Tensor) -> Tensor:
    """The plain tensor inside a `monai.data.MetaTensor`, or the tensor itself."""
    plain: Tensor = tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor
    return plain
