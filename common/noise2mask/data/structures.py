"""The structures of masks that have several: the values that stand for them in files, and their numbers in results.

A structure has a channel of its own in the network; of exclusive structures a pixel has one at most, and channel 0 is
the background. Results are label maps: structure number 1 is the first that `structures` names.

Legend: F files, S structures, K channels (S, and with exclusive structures the background's first), ... spatial axes.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

Structures = Mapping[str, Sequence[float]]  # name -> values of the mask files

BACKGROUND = "background"  # what has no structure; its channel, where classes exclude one another, is the first
NAME = re.compile(r"[A-Za-z0-9][\w-]*")  # it becomes part of file names


def check_structures(structures: Structures, exclusive: bool) -> None:
    """Raise ValueError where there is no structure, one has no value or simple name, or exclusive ones share one."""
    if not structures or not all(structures.values()):
        raise ValueError(f"structures are {dict(structures)}; expected names, each with the values of its mask.")
    if odd := [name for name in structures if not NAME.fullmatch(str(name))]:
        found = f"a structure is called {odd[0]!r}"
        raise ValueError(f"{found}; expected letters, digits, _ and -, which its files are named with: rename it.")
    if BACKGROUND in structures:
        raise ValueError(f"a structure is called {BACKGROUND!r}, which is what has no structure: take it out.")
    for (one, values), (other, others) in combinations(structures.items(), 2):
        if exclusive and (both := set(values) & set(others)):
            found = f"{one} and {other} share {', '.join(f'{value:g}' for value in sorted(both))}"
            raise ValueError(
                f"exclusive structures have values of their own, but {found}: correct structures, or exclusive."
            )


def values_of(structures: Structures) -> list[float]:
    """All values that stand for a structure, in order."""
    return sorted({value for values in structures.values() for value in values})


def masks_of(files: Tensor, structures: Structures) -> Tensor:
    """Mask files (F, ...) -> (S, ...) bool: a structure is where any file holds one of its values."""
    return torch.stack([is_any_of(files, values).any(dim=0) for values in structures.values()])


def overlapping(masks: Tensor, structures: Structures) -> str | None:
    """The names of two structures that share a pixel of (S, ...) bool; None where none do."""
    for (one, first), (other, second) in combinations(zip(structures, masks, strict=True), 2):
        if (first & second).any():
            return f"{one} and {other}"
    return None


def without_background(channels: Tensor, exclusive: bool) -> Tensor:
    """(K, ...) -> (S, ...)."""
    return channels[1:] if exclusive else channels


def label_map(masks: Tensor) -> Tensor:
    """(S, ...) in {0, 1} -> (...) uint8: a structure's number, counted from 1, 0 where there is none.

    Where structures overlap it is the last one's: name nested ones from the outside to the inside.
    """
    numbers = torch.arange(1, len(masks) + 1, dtype=torch.uint8, device=masks.device)
    return (masks.to(torch.uint8) * numbers.reshape(-1, *[1] * (masks.ndim - 1))).amax(dim=0)


def structures_of_label_maps(structures: Structures) -> dict[str, list[float]]:
    """The same structures in label maps: name -> numbers; of a single one 255 as well, as masks of 0 and 255 have it.

    A value of several structures is the last one's there: {"disc": [0, 128], "cup": [0]} -> {"disc": [1, 2], "cup":
    [2]}.

    Raises:
        ValueError: where a structure would have no number of its own, because a later one covers it.
    """
    if len(structures) == 1:
        return {name: [1, 255] for name in structures}
    number = {value: n for n, values in enumerate(structures.values(), start=1) for value in values}
    for own, name in enumerate(structures, start=1):
        if own not in number.values():
            after = "in one label map a later structure covers it; expected the outer one first: change their order"
            raise ValueError(f"The structure {name} has no value of its own: {after}.")
    return {name: sorted({number[value] for value in values}) for name, values in structures.items()}


def is_any_of(mask: Tensor, values: Sequence[float]) -> Tensor:
    """(...) -> (...) bool: one of the values."""
    return torch.isin(mask, torch.tensor(values, dtype=mask.dtype, device=mask.device))
