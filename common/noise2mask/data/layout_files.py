"""What all layouts share: the files of a folder by stem, what is wrong with them, and the datalist made of them."""

import csv
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .dicom_series import is_dicom_folder
from .problems import path_text, refuse
from .splits import KEYS, natural

SUFFIXES = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
ADD_MASK = "add one, of zeros where there is no lesion, or remove the image"


def existing(folder: str | os.PathLike) -> Path:
    """Absolute path of a folder that must be there."""
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise ValueError(f"data set folder {folder} does not exist: check the path.")
    return folder


def refuse_folder(folder: Path, problems: Sequence[str]) -> None:
    """Stop if there are problems with the files of a folder, naming the first ones."""
    refuse(f"the data set {folder} cannot be used", problems)


def stem_of(name: str, suffixes: Sequence[str] = SUFFIXES) -> str | None:
    """File name without folder and known suffix; None if the suffix is not known."""
    base = re.split(r"[/\\]", name)[-1]
    return next((base[: -len(s)] for s in suffixes if base.lower().endswith(s)), None)


def by_stem(folder: Path, problems: list[str], suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """Files with a known suffix, and folders of DICOM files, by stem, in natural order; no stem may come up twice."""
    files: dict[str, Path] = {}
    for path in sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: natural(p.name)):
        stem = path.name if is_dicom_folder(path) else stem_of(path.name, suffixes)
        if stem in files:
            both = f"{folder.name}/{path.name} and {folder.name}/{files[stem].name}"
            problems.append(f"{both} have the same stem: rename or remove one.")
        elif stem is not None:
            files[stem] = path
    return files


def read_table(path: Path, column: Callable[[str], str] = str) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of a CSV file, by what `column` makes of their names, and its rows, words without outer spaces.

    Raises:
        ValueError: where the file can not be read, or is not in UTF-8; it names the file.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            names = [column(name) for name in table.fieldnames or []]
            table.fieldnames = names
            return names, [{name: (row[name] or "").strip() for name in names} for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        remedy = "give a table as CSV in UTF-8, as which a spreadsheet can save it"
        raise ValueError(f"{path} can not be read ({error}): {remedy}.") from error


def assemble(images: dict, labels: dict, owner: dict, keys: dict, group_by: str, split_by: str) -> dict:
    """The datalist from four tables by stem: image or its modalities, mask file or files, patient, key."""
    result: dict = {"split_by": split_by, "group_by": group_by, **{key: [] for key in KEYS}}
    for stem, image in images.items():
        item = {"image": path_text(image), "label": path_text(labels[stem]), "patient": str(owner[stem])}
        result[keys[stem]].append(item)
    return result
