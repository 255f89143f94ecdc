"""Datalist of a plain folder: `images/` with `masks/` or `labels/`, same stems, and an optional `manifest.csv`.

Whole patients go to one split where the manifest names them, else whole groups of near-duplicates, else single
images: `group_by` in the datalist says which of the three ("patient", "group", "image"), `split_by` the same, or
"manifest" where its column `split` decides. Everything that is wrong with the files is said in one error, by file
name.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .layout_files import ADD_MASK, SUFFIXES, assemble, by_stem, existing, read_table, refuse_folder, stem_of
from .problems import knowing_pairs
from .splits import FRACTIONS, IN_MANIFESTS, KEYS, split_groups, split_training, torn_patients

__all__ = ["folder_datalist", "grouped"]

PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "subject", "subject_id", "case_id")
STEM_COLUMNS = ("image", "stem", "file", "filename", "file_name", "name")
SPLITS = {short: key for key, short in IN_MANIFESTS.items()} | {key: key for key in KEYS}


def folder_datalist(folder: str | os.PathLike, seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> dict:
    """Datalist of a plain folder, with absolute paths.

    Args:
        folder: has `images/` and either `masks/` or `labels/`, files of the types SUFFIXES with the same stems (a
            volume may be a folder of DICOM files); `manifest.csv`, if there, names each image (column image, stem,
            file, filename, file_name or name) and may say `patient` (or `group`) and `split` (train, val or test);
            `annotations/<annotator>/`, if there, holds masks of single annotators.
        seed: of what is drawn at random: the split where the manifest has none, and validation images (one in eight of
            the training images, by whole groups) where its split has none.
        fractions: share of the patients for training, validation, testing.
    """
    folder = existing(folder)
    images, labels = paired_files(folder)
    with knowing_pairs(images, labels):
        return with_annotations(folder, grouped(folder, images, labels, seed, fractions))


def grouped(
    folder: Path, images: dict[str, Path], labels: dict[str, Path], seed: int, fractions: Sequence[float]
) -> dict:
    """Datalist of images and labels by stem, split as the folder's manifest says, else at random by whole groups."""
    rows = read_manifest(folder, images)
    owner, group_by = owners(rows, images)
    if any("split" in row for row in rows.values()):
        keys = manifest_split(folder, rows, "split")
        keep_together(folder, owner, keys)
        if "validation" not in keys.values():  # as published with training and test images alone
            training = {stem: owner[stem] for stem, key in keys.items() if key == "training"}
            drawn = split_training(training.values(), seed)
            keys |= {stem: drawn[name] for stem, name in training.items()}
        return assemble(images, labels, owner, keys, group_by, "manifest")
    of_group = split_groups(owner.values(), seed, fractions)
    keys = {stem: of_group[name] for stem, name in owner.items()}
    return assemble(images, labels, owner, keys, group_by, group_by)


# Files


def paired_files(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and their masks by stem, in natural order."""
    where = mask_folder(folder)
    problems: list[str] = []
    images, labels = (by_stem(folder / name, problems, suffixes) for name in ("images", where))
    lone = [images[stem].name for stem in images if stem not in labels]
    orphans = [labels[stem].name for stem in labels if stem not in images]
    problems += [f"images/{name} has no mask in {where}/: {ADD_MASK}." for name in lone]
    problems += [f"{where}/{name} has no image in images/: add the image, or remove the mask." for name in orphans]
    if not images and not labels:
        problems.append(f"it is empty, images/ has no file of type {' '.join(suffixes)}: give the folder that does.")
    with knowing_pairs(images, labels):
        refuse_folder(folder, problems)
    return images, labels


def mask_folder(folder: Path) -> str:
    """Which of masks/ and labels/ stands beside images/."""
    present = [name for name in ("masks", "labels") if (folder / name).is_dir()]
    if (folder / "images").is_dir() and len(present) == 1:
        return present[0]
    found = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())[:8]) or "no folder"
    hint = "rename the folders, or remove one"
    if (folder / "benign").is_dir():
        hint = "this looks like the BUSI download: use layout busi"
    raise ValueError(f"{folder} holds {found}, expected images/ and one of masks/ and labels/; {hint}.")


# Manifest


def read_manifest(
    folder: Path, images: dict[str, Path], suffixes: Sequence[str] = SUFFIXES
) -> dict[str, dict[str, str]]:
    """Rows of manifest.csv by stem, one for each image; none if there is no such file."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return {}
    names, rows = read_table(path, _column)
    column = next((name for name in STEM_COLUMNS if name in names), None)
    if column is None:
        raise ValueError(f"{path} has the columns {names}, expected one of {', '.join(STEM_COLUMNS)}")
    pairs = [(stem_of(row[column], suffixes) or row[column], row) for row in rows]
    refuse_folder(folder, manifest_problems([stem for stem, _ in pairs], images))
    return dict(pairs)


def _column(name: str) -> str:
    """A column's name as it is meant: "Patient ID" -> "patient"."""
    plain = re.sub(r"[ _-]+", "_", name.strip().casefold())
    return "patient" if plain in PATIENT_COLUMNS else plain


def manifest_problems(stems: list[str], images: dict[str, Path]) -> list[str]:
    """Stems of a manifest that are listed twice or have no image, and images that are not listed."""
    listed: set[str] = set()
    problems = []
    for stem in stems:
        if stem in listed:
            problems.append(f"manifest.csv: {stem} is listed twice: keep one row.")
        elif stem not in images:
            problems.append(f"manifest.csv: {stem} is not in images/: add the image, or remove the row.")
        listed.add(stem)
    missing = [path.name for stem, path in images.items() if stem not in listed]
    return problems + [f"images/{name} is not in manifest.csv: add a row." for name in missing]


def owners(rows: dict[str, dict[str, str]], images: Iterable[str]) -> tuple[dict[str, str], str]:
    """Patient, else group, else the image itself, by stem; and which of the three it is."""
    for column in ("patient", "group"):
        empty = [stem for stem, row in rows.items() if not row.get(column)]
        if rows and not empty:
            return {stem: rows[stem][column] for stem in images}, column
        if len(empty) < len(rows):
            found = f"manifest.csv names no {column} for {len(empty)} of {len(rows)} images, {empty[0]} for one"
            raise ValueError(f"{found}; expected one for every image: fill it in, or leave the column out.")
    return {stem: stem for stem in images}, "image"


def manifest_split(folder: Path, rows: dict[str, dict[str, str]], column: str) -> dict[str, str]:
    """Key by stem from a column of the manifest."""
    keys = {stem: SPLITS.get((row.get(column) or "").strip().lower(), "") for stem, row in rows.items()}
    wrong = [stem for stem, key in keys.items() if not key]
    expected = "expected train, val or test: correct the word."
    refuse_folder(
        folder, [f"manifest.csv: {stem} has {column} {rows[stem].get(column)!r}, {expected}" for stem in wrong]
    )
    return keys


def keep_together(folder: Path, owner: dict[str, str], keys: dict[str, str]) -> None:
    """Refuse a split that tears a patient apart."""
    sections: dict[str, list] = {key: [] for key in KEYS}
    for stem, name in owner.items():
        sections[keys[stem]].append({"patient": name})
    refuse_folder(folder, [f"manifest.csv: {problem}" for problem in torn_patients(sections)])


# Several annotators


def with_annotations(folder: Path, content: dict) -> dict:
    """Items with the masks of several annotators, where `annotations/<name of the annotator>/` has their stems."""
    problems: list[str] = []
    where = folder / "annotations"
    annotators = sorted(path for path in where.iterdir() if path.is_dir()) if where.is_dir() else []
    masks = [by_stem(annotator, problems) for annotator in annotators]
    items = {stem_of(item["image"]) or Path(item["image"]).name: item for key in KEYS for item in content[key]}
    for annotator, own in zip(annotators, masks, strict=True):
        lost = [f"annotations/{annotator.name}/{path.name}" for stem, path in own.items() if stem not in items]
        problems += [f"{name} has no image in images/: add it, or remove the mask." for name in lost]
    refuse_folder(folder, problems)
    for stem, item in items.items():
        found = [str(own[stem]) for own in masks if stem in own]
        if found:
            item["annotations"] = found
    return content
