"""What to generate: masks, and a reference for each.

A reference is drawn among the tiles that share a mask's dominant class, as in training (see `referenced_dataset`). A
mask's own image, which the data set or its name tells, and tiles that overlap it are taken only for want of others.

Legend: F mask files, S structures, W H size.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..seeding import derived_seed
from ..transforms.binary_mask import wrong_values
from .datalist import datalist
from .inputs import ENDINGS
from .item_paths import name_of, paths_of
from .layouts import FILE
from .problems import refuse
from .reader import ColourReader, MaskReader
from .referenced_dataset import dominant_class
from .results import stem
from .structures import Structures, check_structures, masks_of, values_of
from .tile_place import overlapping

logger = logging.getLogger(__name__)


def generation_items(
    masks: str | Path,
    references: str | Path,
    structures: Structures,
    section: str = "testing",
    layout: str = "folder",
    background: Sequence[float] = (0,),
    reader: ColourReader | None = None,
    in_channels: int = 3,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One item for each mask.

    Args:
        masks:       a mask, a folder of masks, or a data set, of which a section is taken.
        references:  an image, a folder of images, or a data set, whose training images are taken; of a data set's a
            mask gets one with the same dominant class.
        structures:  see `StructureMasksd`; exclusive.
        section:     of the data set of masks.
        layout:      of data sets without a datalist.
        background:  all other values of the masks.
        reader:      of the references; None: a `ColourReader`.
        in_channels: of the references.
        seed:        of the draw; a mask's reference depends on its name, not on the other masks.

    Returns:
        Items `label`, `reference`, `name`, and where they are known `image` (the real one), `patient` (of the mask) and
        `slide` (of the reference).

    Raises:
        ValueError: it names every file that is missing, can not be read, has other values or channels, and masks of
            one name.
    """
    check_structures(structures, exclusive=True)
    problems: list[str] = []
    wanted = _found(masks, section, layout, "label", problems)
    pool = _found(references, "training", layout, "image", problems)
    problems += [*_twice(wanted), *_unreadable(pool, reader or ColourReader(), in_channels)]
    kinds, styles = (_dominant(items, structures, background, problems) for items in (wanted, pool))
    refuse("There is nothing to generate from", problems)
    alike = defaultdict(list)
    for item, style in zip(pool, styles, strict=True):
        alike[style].append(item)
    return [_paired(item, kind, alike, pool, seed) for item, kind in zip(wanted, kinds, strict=True)]


def _found(path: str | Path, section: str, layout: str, key: str, problems: list[str]) -> list[dict[str, Any]]:
    """Items of a data set, or items of files with `key` alone; none where something is wrong, which is added."""
    try:
        return _items(Path(path), section, layout, key)
    except ValueError as error:
        problems.append(str(error))
        return []


def _items(path: Path, section: str, layout: str, key: str) -> list[dict[str, Any]]:
    if not path.exists():
        raise ValueError(f"{path} does not exist: give a file, a folder of files, or a data set.")
    if path.suffix == ".json" or (path / FILE).is_file() or (path / "images").is_dir() or layout != "folder":
        return datalist(path, section, layout)
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if _is_picture(file))
    if not files:
        raise ValueError(f"{path} holds no picture; expected some: give the folder that does.")
    return [{key: str(file)} for file in files]


def _is_picture(file: Path) -> bool:
    return file.name.lower().endswith(ENDINGS) and not file.name.startswith(".")


def _twice(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Masks whose images would overwrite one another."""
    seen: dict[str, str] = {}
    for path in (paths_of(item["label"])[0] for item in items):
        if stem(path) in seen:
            yield f"{path} and {seen[stem(path)]} would give images of the same name: rename one."
        seen[stem(path)] = path


def _unreadable(pool: Sequence[Mapping[str, Any]], reader: ColourReader, in_channels: int) -> Iterator[str]:
    for item in pool:
        try:
            image, _ = reader.channels(item["image"])  # (C, W, H)
        except ValueError as error:
            yield str(error)
            continue
        if image.ndim != 3:
            yield _no_picture(name_of(item))
        elif len(image) != in_channels:
            yield f"{name_of(item)} has {len(image)} channels; expected {in_channels}: take references as in training."


def _no_picture(path: str) -> str:
    return f"{path} is a volume; expected a picture, as images are generated: export its slices."


def _dominant(
    items: Sequence[Mapping[str, Any]], structures: Structures, background: Sequence[float], problems: list[str]
) -> list[int | None]:
    """Dominant class of each item, None where it has no mask; what is wrong is added to the problems."""
    kinds: list[int | None] = []
    for item in items:
        kinds.append(None)
        if "label" not in item:
            continue
        try:
            files = torch.from_numpy(MaskReader().channels(item["label"])[0])  # (F, W, H)
        except ValueError as error:
            problems.append(str(error))
            continue
        path = paths_of(item["label"])[0]
        if wrong := wrong_values(files, values_of(structures), background, "structures"):
            problems.append(f"{path} {wrong}")
        if files.ndim != 3:
            problems.append(_no_picture(path))
        kinds[-1] = dominant_class(masks_of(files, structures))
    return kinds


def _shows(reference: Mapping[str, Any], item: Mapping[str, Any], name: str) -> bool:
    """Whether a reference is a mask's own image, known by the data set or by its name, or overlaps it."""
    own = name_of(reference) == name_of(item) if "image" in item else stem(name_of(reference)) == name
    return own or overlapping(reference, item)


def _paired(
    item: Mapping[str, Any], kind: int | None, alike: Mapping[Any, list], pool: list, seed: int
) -> dict[str, Any]:
    """A mask with its reference."""
    path = paths_of(item["label"])[0]
    name = stem(path)
    candidates = alike.get(kind) or alike.get(None) or pool
    others = [one for one in candidates if not _shows(one, item, name)]  # its own image would be copied
    if kind not in alike and None not in alike:
        logger.warning(f"warning: no reference has the dominant class of {path}: any is taken.")
    elif not others:
        logger.warning(f"warning: {path} gets its own image, or one that overlaps it, for want of another reference.")
    reference = random.Random(derived_seed(seed, *name.encode())).choice(others or candidates)
    kept = {"patient": item["patient"]} if "patient" in item else {}
    kept |= {"image": name_of(item)} if "image" in item else {}
    kept |= {"slide": reference["slide"]} if "slide" in reference else {}
    return {**kept, "label": item["label"], "reference": name_of(reference), "name": name}
