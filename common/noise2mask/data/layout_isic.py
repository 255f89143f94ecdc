"""Datalist of ISIC, lesion segmentation of dermoscopic pictures in colour: task 1 of the challenge of 2016 or 2018.

As downloaded, the archives unpacked side by side: pictures `ISIC_0000000.jpg` in one folder, masks
`ISIC_0000000_Segmentation.png` (2018: `_segmentation`) in another, whose names YEARS has. Only training must be there;
pictures that are there need their masks. The official test pictures test; 2018 has validation pictures, in 2016 they
are drawn from the training pictures. Nothing is said about patients.

Sources: Gutman et al., arXiv 1605.01397 (2016); Codella et al., arXiv 1902.03368 (2018).
"""

import os
import re
from pathlib import Path

from .layout_files import existing
from .layout_folder import folder_datalist
from .published_split import Part, in_order, published_datalist

__all__ = ["YEARS", "isic_datalist"]

YEARS = {  # year -> key -> folder of the pictures, folder of the masks
    "2016": {
        "training": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
        "testing": ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
    },
    "2018": {
        "training": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),
        "validation": ("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth"),
        "testing": ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),
    },
}
PICTURE = re.compile(r"(?P<stem>ISIC_\d+)\.(jpg|jpeg|png)", re.IGNORECASE)
MASK = re.compile(r"(?P<stem>ISIC_\d+)_segmentation\.png", re.IGNORECASE)


def isic_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of ISIC, with absolute paths.

    Args:
        folder: holds the folders of one of YEARS, or is a plain folder, `images/` with `masks/`.
        seed:   of what is drawn at random.

    Raises:
        ValueError: where it is neither, holds both years, or a picture or a mask stands alone; it names the files.
    """
    folder = existing(folder)
    years = [year for year, parts in YEARS.items() if any((folder / name).is_dir() for name in parts["training"])]
    if not years and (folder / "images").is_dir():
        return folder_datalist(folder, seed)
    if len(years) != 1:
        found = f"the folders of {' and '.join(years)}" if years else "no training folder of ISIC"
        expected = " or ".join(parts["training"][0] for parts in YEARS.values())
        raise ValueError(f"{folder} holds {found}; expected one, {expected}: give the folder that holds it.")
    parts = {
        key: Part(_files(folder / images, PICTURE), _files(folder / masks, MASK))
        for key, (images, masks) in YEARS[years[0]].items()
    }
    return published_datalist(folder, parts, seed)


def _files(folder: Path, name: re.Pattern[str]) -> dict[str, Path]:
    """Files by stem; none where there is no such folder. Licences and superpixels stand beside them."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return in_order({match["stem"]: path for path in paths if (match := name.fullmatch(path.name))})
