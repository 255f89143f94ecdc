"""Datalist of REFUGE-2, fundus pictures in colour with masks of optic disc and cup.

Its masks have three values: 0 the cup, 128 the rest of the disc, 255 the background (`MASK_VALUES` takes the cup). Two
forms of the download are known, the one with a folder per part, and the challenge's own archives, unpacked:

    train/Images/*.jpg       train/gts/*.bmp (or mask/, masks/)                              and val/, test/ likewise
    Training400/**/*.jpg     Annotation-Training400/**/Disc_Cup_Masks/**/*.bmp
    REFUGE-Validation400/    REFUGE-Validation400-GT/**/Disc_Cup_Masks/**/*.bmp
    Test400/                 REFUGE-Test-GT/**/Disc_Cup_Masks/**/*.bmp

with `images/` as well as `Images/`, PNG as well as JPEG and BMP. The published parts are kept; validation pictures that
are missing are drawn from the training pictures. Nothing is said about patients.

Source: Orlando et al., Medical Image Analysis 59:101570, 2020; refuge.grand-challenge.org.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from .layout_files import existing
from .layout_folder import folder_datalist
from .published_split import Part, in_order, published_datalist

__all__ = ["is_refuge2", "refuge2_datalist"]

FOLDERS = {"training": "train", "validation": "val", "testing": "test"}
MASK_FOLDERS = ("gts", "mask", "masks", "Mask", "Masks")  # the first that is there
ARCHIVES = {  # the challenge's own: pictures, masks
    "training": ("Training400/**/*", "Annotation-Training400/**/Disc_Cup_Masks/**/*"),
    "validation": ("REFUGE-Validation400/**/*", "REFUGE-Validation400-GT/**/Disc_Cup_Masks/**/*"),
    "testing": ("Test400/**/*", "REFUGE-Test-GT/**/Disc_Cup_Masks/**/*"),
}
PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def refuge2_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of REFUGE-2, with absolute paths.

    Args:
        folder: has one of the two forms, or is a plain folder, `images/` with `masks/`, whose masks have these values.
        seed:   of what is drawn at random.

    Raises:
        ValueError: where it is none of them, or a picture or a mask stands alone; it names the files.
    """
    folder = existing(folder)
    if not is_refuge2(folder):
        return folder_datalist(folder, seed)
    own = (folder / "Training400").is_dir()
    parts = {key: _archive(folder, key) if own else _part(folder, name) for key, name in FOLDERS.items()}
    return published_datalist(folder, parts, seed)


def is_refuge2(folder: Path) -> bool:
    """Whether a folder has one of the two forms."""
    masks = [folder / "train" / name for name in MASK_FOLDERS]
    return (folder / "Annotation-Training400").is_dir() or any(map(Path.is_dir, masks))


def _part(folder: Path, name: str) -> Part:
    """Of the form with a folder per part, whose pictures may be called alike in all of them."""
    masks = next((inner for inner in MASK_FOLDERS if (folder / name / inner).is_dir()), MASK_FOLDERS[0])
    images = [path for inner in ("images", "Images") for path in (folder / name / inner).glob("*")]
    return Part(_by_name(set(images), f"{name}/"), _by_name((folder / name / masks).glob("*"), f"{name}/"))


def _archive(folder: Path, key: str) -> Part:
    """Of the challenge's own archives."""
    images, masks = ARCHIVES[key]
    return Part(_by_name(folder.glob(images)), _by_name(folder.glob(masks)))


def _by_name(paths: Iterable[Path], prefix: str = "") -> dict[str, Path]:
    """Pictures by the stem of their name."""
    return in_order({prefix + path.stem: path for path in paths if path.suffix.lower() in PICTURES})
