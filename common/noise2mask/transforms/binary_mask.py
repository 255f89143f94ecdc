"""One binary mask from one or several mask files.

Legend: F files, C channels, ... spatial axes.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from ..data.structures import is_any_of
from ..meta import without_meta


class BinaryMaskd(MapTransform):
    """(F, ...), each file {0, 1} or {0, 255}, -> (1, ...) in {0, 1}, the union of the files (BUSI: up to three).

    Args:
        keys:       of masks.
        join:       False keeps the files apart, (F, ...): masks of several annotators.
        foreground: values of what is segmented in files of several classes, such as (0,), the optic cup of REFUGE-2, or
                    (1, 2, 4), the whole tumour of BraTS; None: the files are binary.
        background: all other values that such files may hold, (128, 255) and (0,) of these; a value that is in neither
                    shows another coding or a lossy file.

    Raises:
        ValueError: where a mask holds other values; it names the file and the values.
    """

    def __init__(
        self,
        keys: KeysCollection,
        join: bool = True,
        foreground: Sequence[float] | None = None,
        background: Sequence[float] = (),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.join = join
        self.foreground, self.background = foreground, background

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the keys binary."""
        return {**data, **{key: self._binary(data[key]) for key in self.key_iterator(data)}}

    def _binary(self, mask: Tensor) -> Tensor:
        refuse_wrong_values(mask, self.foreground, self.background)
        inside = is_foreground(mask, self.foreground)  # (F, ...)
        return (inside.amax(dim=0, keepdim=True) if self.join else inside).to(torch.float32)


def is_foreground(mask: Tensor, foreground: Sequence[float] | None = None) -> Tensor:
    """(...) -> (...) bool: one of the values, or, where there are none to choose from, above 0."""
    return mask > 0 if foreground is None else is_any_of(mask, foreground)


def refuse_wrong_values(
    mask: Tensor, foreground: Sequence[float] | None, background: Sequence[float], setting: str = "foreground"
) -> None:
    """Raise ValueError where a file of (F, ...) holds other values; it names the file."""
    problems = (wrong_values(one, foreground, background, setting) for one in mask)
    if problem := next(filter(None, problems), None):
        raise ValueError(f"{getattr(mask, 'meta', {}).get('filename_or_obj', 'a mask')} {problem}")


def wrong_values(
    mask: Tensor,
    foreground: Sequence[float] | None = None,
    background: Sequence[float] = (),
    setting: str = "foreground",
) -> str | None:
    """What is wrong with the values of one mask file, which is binary or has these values; or None.

    `setting` is what the foreground comes from in the config.
    """
    values = torch.unique(without_meta(mask)).tolist()
    known = [{0.0, 1.0}, {0.0, 255.0}] if foreground is None else [{*map(float, [*foreground, *background])}]
    found = f"holds the values {_listed(values)}"
    if 1.0 in values and max(values) == 1 and _are_shades(foreground, background):
        remedy = "take the layout folder, or foreground null and background []"
        return f"{found}, as a binary mask; expected shades of grey up to 255: {remedy}."
    if any(set(values) <= some for some in known):
        return None
    if foreground is None:
        remedy = "save it so (PNG, not JPEG), or name foreground and background"
        return f"{found}; a binary mask holds 0 and 1, or 0 and 255: {remedy}."
    return f"{found}; expected {_listed(sorted(known[0]))}: correct {setting} and background, or save it so (not JPEG)."


def _are_shades(foreground: Sequence[float] | None, background: Sequence[float]) -> bool:
    """Whether values run from black to white, as in lossy files: a 1 is black there, and a mask of 0 and 1 empty."""
    return foreground is not None and 255 in foreground and 1 in background


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
