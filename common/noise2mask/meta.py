"""MONAI's meta data of tensors: left out, as they cost time in every operation, and what they say of files."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

SOURCE = "source"  # key of a training item: the file of its image, and which slice, as plain tensors do not know it


def without_meta(tensor: Tensor) -> Tensor:
    """The plain tensor inside a `monai.data.MetaTensor`, or the tensor itself."""
    plain: Tensor = tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor
    return plain


def files_of(images: Any) -> str:
    """A sentence for errors: of which files a batch is; empty where nobody knows.

    Args:
        images: a batch with `SOURCE`, or with an `image` that has MONAI's meta data; or such an image itself.
    """
    if isinstance(images, Mapping):
        names = images.get(SOURCE) or _names(images.get("image"))
    else:
        names = _names(images)
    return f" Files of this batch: {', '.join(map(str, names))}." if names else ""


def _names(image: Any) -> Sequence[str]:
    names: str | Sequence[str] = getattr(image, "meta", {}).get("filename_or_obj", ())
    return [names] if isinstance(names, str) else names
