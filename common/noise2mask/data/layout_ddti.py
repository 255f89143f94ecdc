"""Datalist of thyroid nodules in ultrasound: TN3K, as downloaded, or DDTI as a plain folder.

TN3K (Gong et al., Computers in Biology and Medicine 155:106389, 2023): pictures in `trainval-image/` and `test-image/`,
masks of the same names in `trainval-mask/` and `test-mask/`, and `tn3k-trainval-fold0.json` to fold4, whose "train" and
"val" are numbers that count the trainval pictures from 0. The first fold splits; without one, validation is drawn. The
masks are JPEG, whose values `MASK_VALUES` cuts in the middle. Nothing is said about patients.

DDTI (Pedraza et al., SPIE 9287, 2015) is downloaded as pictures with outlines in XML: `ddti_outlines` makes a plain
folder of it, split by case.
"""

import json
import os
from pathlib import Path
from typing import Any

from .layout_files import by_stem, existing, refuse_folder
from .layout_folder import folder_datalist
from .problems import knowing_pairs
from .published_split import Part, published_datalist, unpaired

__all__ = ["ddti_datalist", "is_tn3k"]

FOLD = "tn3k-trainval-fold0.json"


def ddti_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of TN3K or of a plain folder, with absolute paths.

    Args:
        folder: holds `trainval-image/` and the others, or `images/` with `masks/`, and perhaps a manifest with groups.
        seed:   of what is drawn at random.

    Raises:
        ValueError: where it is neither, a picture or a mask stands alone, or the fold is malformed; it names the files.
    """
    folder = existing(folder)
    if is_tn3k(folder):
        return _tn3k(folder, seed)
    if any(folder.glob("*.xml")):
        remedy = "make a plain folder of it, python -m noise2mask.data.ddti_outlines FOLDER OUTPUT"
        raise ValueError(f"{folder} holds outlines in XML; expected masks: {remedy}.")
    return folder_datalist(folder, seed)


def is_tn3k(folder: Path) -> bool:
    """Whether a folder is TN3K's."""
    return (folder / "trainval-image").is_dir()


def _tn3k(folder: Path, seed: int) -> dict:
    trainval, test = _part(folder, "trainval"), _part(folder, "test")
    parts = {"training": trainval, "testing": test}
    if (folder / FOLD).is_file():
        with knowing_pairs(*trainval):
            refuse_folder(folder, unpaired(trainval))  # before names are taken from the pictures alone
        names = _fold(folder / FOLD, list(trainval.images))
        chosen = {key: Part(*({n: t[n] for n in own if n in t} for t in trainval)) for key, own in names.items()}
        parts = {**chosen, "testing": test}
    return published_datalist(folder, parts, seed)


def _part(folder: Path, name: str) -> Part:
    """Pictures and masks; those of both parts may be called alike."""
    problems: list[str] = []
    images, masks = (
        {f"{name}/{stem}": path for stem, path in by_stem(where, problems).items()} if where.is_dir() else {}
        for where in (folder / f"{name}-image", folder / f"{name}-mask")
    )
    refuse_folder(folder, problems)
    return Part(images, masks)


def _fold(path: Path, names: list[str]) -> dict[str, list[str]]:
    """Names of the training and the validation pictures.

    Raises:
        ValueError: where it is no JSON of two lists of numbers that count all pictures once; it names the file.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        numbers = {"training": content["train"], "validation": content["val"]}
        every = sorted(numbers["training"] + numbers["validation"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{path} can not be read ({error!r}); expected lists "train" and "val": replace it.'
        ) from error
    if every != list(range(len(names))):
        found = f"{len(every)} numbers up to {every[-1] if every else 'none'}"
        raise ValueError(
            f"{path} has {found}; expected each of 0 to {len(names) - 1} once: add the pictures, or delete it."
        )
    return {key: [names[number] for number in some] for key, some in numbers.items()}
