"""Datalist of AMOS 2022, organs of the abdomen, task 1: computed tomography.

    imagesTr/amos_0001.nii.gz  labelsTr/amos_0001.nii.gz     training, of which some are drawn for validation
    imagesVa/                  labelsVa/                     testing: imagesTs/ has no public labels

Cases above 500 are magnetic resonance (task 2) and left out. Each case is another patient.

Source: Ji et al., arXiv 2206.08023, 2022.
"""

import os
import re
from pathlib import Path

from .layout_files import existing
from .published_split import Part, in_order, published_datalist

__all__ = ["amos22_datalist", "is_amos22"]

CASE = re.compile(r"amos_(?P<number>\d{4})\.nii(\.gz)?")
LAST_CT = 500
PARTS = {"training": "Tr", "testing": "Va"}


def amos22_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of AMOS 2022, with absolute paths.

    Args:
        folder: holds imagesTr/ and labelsTr/, perhaps imagesVa/ and labelsVa/.
        seed:   of what is drawn at random.

    Raises:
        ValueError: where there are no training images, or an image or a label stands alone; it names the files.
    """
    folder = existing(folder)
    parts = {key: Part(_cases(folder / f"images{end}"), _cases(folder / f"labels{end}")) for key, end in PARTS.items()}
    return published_datalist(folder, parts, seed) | {"group_by": "patient", "split_by": "patient"}


def is_amos22(folder: Path) -> bool:
    """Whether a folder has cases that are called so."""
    return bool(_cases(folder / "imagesTr"))


def _cases(folder: Path) -> dict[str, Path]:
    """Files of computed tomography by case; none where there is no such folder."""
    paths = folder.iterdir() if folder.is_dir() else ()
    found = {path: CASE.fullmatch(path.name) for path in paths}
    ct = {path: match for path, match in found.items() if match and int(match["number"]) <= LAST_CT}
    return in_order({f"amos_{match['number']}": path for path, match in ct.items()})
