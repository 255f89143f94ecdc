"""Datalist of BUSI (Al-Dhabyani et al., Data in Brief 28:104863, 2020), as downloaded or made into a plain folder.

The download has `benign/benign (4).png`, `benign (4)_mask.png` and, in 17 images, `benign (4)_mask_1.png` and so on:
one file per lesion, whose union is the mask. It says nothing about patients, so that single images are split, and
near-duplicates, of which it has many (Pawlowska et al., Data in Brief 48:109247, 2023), may stand on both sides. A
plain folder whose manifest has groups avoids this.
"""

import os
import re
from pathlib import Path

from .layout_files import ADD_MASK, assemble, existing, refuse_folder
from .layout_folder import folder_datalist, manifest_split, paired_files, read_manifest
from .problems import knowing_pairs
from .splits import KEYS, busi_split, natural, split_groups

__all__ = ["busi_datalist"]

KINDS = ("normal", "benign", "malignant")
INNER = "Dataset_BUSI_with_GT"  # the folder that the archive unpacks to
FILE = re.compile(r"(?P<stem>.+ \(\d+\))(?P<mask>_mask(_\d+)?)?\.png", re.IGNORECASE)


def busi_datalist(folder: str | os.PathLike, split: str = "folder", seed: int = 0) -> dict:
    """Datalist of BUSI, with absolute paths; `label` is a list where an image has several mask files.

    Args:
        folder: holds benign/, malignant/ and normal/ (or Dataset_BUSI_with_GT/ that does), or images/ and masks/ with
            stems that start with the class.
        split: "pgdiffseg": the rule of that paper (splits.busi_split), or the column `pgdiffseg_split` of the
            manifest where there is one, since the rule needs every image. "folder": as layout_folder does it;
            random for the download.
        seed: of the random split.
    """
    if split not in ("pgdiffseg", "folder"):
        raise ValueError(f"split is {split!r}, expected 'pgdiffseg' or 'folder'")
    folder = existing(folder)
    folder = folder / INNER if (folder / INNER).is_dir() else folder
    if (folder / "images").is_dir():
        return with_class(folder_datalist(folder, seed) if split == "folder" else plain(folder))
    images, labels = original_files(folder)
    keys = busi_split(images) if split == "pgdiffseg" else split_groups(images, seed)
    return with_class(assemble(images, labels, {stem: stem for stem in images}, keys, "image", "image"))


def with_class(content: dict) -> dict:
    """Every item with its `class`: 0 normal, 1 benign, 2 malignant, as the file's name begins."""
    for item in (item for key in KEYS for item in content[key]):
        name = Path(item["image"]).name.lower()
        kind = next((number for number, kind in enumerate(KINDS) if name.startswith(kind)), None)
        if kind is not None:
            item["class"] = kind
    return content


def plain(folder: Path) -> dict:
    """A plain folder in PGDiffSeg's split, which tears groups of near-duplicates apart: every image is its own."""
    images, labels = paired_files(folder)
    rows = read_manifest(folder, images)
    owner = {stem: stem for stem in images}
    if any("pgdiffseg_split" in row for row in rows.values()):
        return assemble(images, labels, owner, manifest_split(folder, rows, "pgdiffseg_split"), "image", "manifest")
    return assemble(images, labels, owner, busi_split(images), "image", "image")


def original_files(folder: Path) -> tuple[dict[str, Path], dict[str, Path | list[Path]]]:
    """Images and mask files (a list where there are several) of the download, by stem such as "benign (1)"."""
    files = [path for kind in KINDS if (folder / kind).is_dir() for path in (folder / kind).iterdir()]
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = {}
    for path in sorted(files, key=lambda path: natural(path.name)):
        match = FILE.fullmatch(path.name)
        if match and match["mask"]:
            masks.setdefault(match["stem"], []).append(path)
        elif match:
            images[match["stem"]] = path
    lone = {stem: path.name for stem, path in images.items() if stem not in masks}
    orphans = {stem: paths[0].name for stem, paths in masks.items() if stem not in images}
    problems = [f"{name} has no mask file {stem}_mask.png: {ADD_MASK}." for stem, name in lone.items()]
    problems += [f"{name} has no image {stem}.png: add it, or remove the mask." for stem, name in orphans.items()]
    if not images and not masks:
        problems.append("it has neither images/ nor files such as benign/benign (1).png: give the folder that does.")
    with knowing_pairs(images, masks):
        refuse_folder(folder, problems)
    return images, {stem: paths[0] if len(paths) == 1 else paths for stem, paths in masks.items()}
