"""Datalist of BTCV, "Multi-atlas labeling beyond the cranial vault": computed tomography of the abdomen.

    RawData/Training/img/img0001.nii.gz    RawData/Training/label/label0001.nii.gz

as downloaded, from RawData's parent, RawData or Training. The split is at random: of the test images no labels are
public. Each case is another patient.

Source: Landman et al., MICCAI workshop and challenge, 2015, synapse.org syn3193805.
"""

import os
import re
from pathlib import Path

from .layout_files import assemble, existing, refuse_folder
from .problems import knowing_pairs
from .published_split import Part, in_order, unpaired
from .splits import split_groups

__all__ = ["btcv_datalist", "is_btcv"]

FILE = re.compile(r"(img|label)(?P<number>\d{4})\.nii(\.gz)?")
ROOTS = ("RawData/Training", "Training", ".")


def btcv_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of BTCV, with absolute paths.

    Args:
        folder: has the form above.
        seed:   of the random split.

    Raises:
        ValueError: where there are no images, or an image or a label stands alone; it names the files.
    """
    folder = existing(folder)
    root = _root(folder) or folder
    part = Part(_files(root / "img"), _files(root / "label"))
    problems = unpaired(part)
    if not part.images:
        problems += ["it has no img/img0001.nii.gz and so on: give RawData, or the folder that holds it."]
    with knowing_pairs(part.images, part.masks):
        refuse_folder(folder, problems)
    owner = {name: name for name in part.images}
    return assemble(part.images, part.masks, owner, split_groups(owner, seed), "patient", "patient")


def is_btcv(folder: Path) -> bool:
    """Whether a folder has this form."""
    return _root(folder) is not None


def _root(folder: Path) -> Path | None:
    """The folder of img/ and label/."""
    roots = (folder / name for name in ROOTS)
    return next((root for root in roots if _files(root / "img") and (root / "label").is_dir()), None)


def _files(folder: Path) -> dict[str, Path]:
    """Files by case; none where there is no such folder."""
    paths = folder.iterdir() if folder.is_dir() else ()
    found = ((path, FILE.fullmatch(path.name)) for path in paths)
    return in_order({match["number"]: path for path, match in found if match})
