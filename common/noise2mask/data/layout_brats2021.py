"""Datalist of BraTS 2021, magnetic resonance of brain tumours: four modalities per case, which become channels.

    BraTS2021_00000/BraTS2021_00000_{t1,t1ce,t2,flair,seg}.nii.gz

(or `.nii`), as the training data are downloaded; BraTS 2020 is called alike (`BraTS20_Training_001/`, and, without
labels, `BraTS20_Validation_001/`). The labels are 0 background, 1 necrotic core, 2 oedema and 4 enhancing tumour; the
whole tumour, which `MASK_VALUES` takes, is 1, 2 and 4. The split is by case, at random: no other is published.

Source: Baid et al., arXiv 2107.02314, 2021.
"""

import os
import re
from pathlib import Path

from .layout_files import assemble, existing, refuse_folder
from .problems import knowing_pairs
from .splits import natural, split_groups

__all__ = ["MODALITIES", "brats2021_datalist", "brats2021_images", "is_brats2021"]

MODALITIES = ("t1", "t1ce", "t2", "flair")  # in the order of the channels
CASE = re.compile(r"BraTS(2021|20_(Training|Validation))_\d+")
ENDINGS = (".nii.gz", ".nii")


def brats2021_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of BraTS, with absolute paths; an item's `image` lists the files of MODALITIES.

    Args:
        folder: holds a folder per case.
        seed:   of the random split.

    Raises:
        ValueError: where there is no case, or a case lacks a modality or its `seg`; it names the files.
    """
    folder = existing(folder)
    cases = _cases(folder)
    files = {case.name: [_file(case, kind) for kind in (*MODALITIES, "seg")] for case in cases}
    whole = {name: paths for name, paths in files.items() if all(path.is_file() for path in paths)}
    lost = [path for paths in files.values() for path in paths if not path.is_file()]
    expected = f"expected {', '.join(MODALITIES)} and seg of every case: add it, or remove the case"
    problems = [f"{path.parent.name}/{path.name} is missing; {expected}." for path in lost]
    problems += [] if cases else ["it has no folder such as BraTS2021_00000: give the folder that does."]
    images = {name: paths[:-1] for name, paths in whole.items()}
    labels = {name: paths[-1] for name, paths in whole.items()}
    with knowing_pairs(images, labels):
        refuse_folder(folder, problems)
    return assemble(images, labels, {name: name for name in images}, split_groups(images, seed), "patient", "patient")


def brats2021_images(folder: Path) -> list[list[str]]:
    """The files of MODALITIES of every case, with labels or without; of a folder of cases, or of one case.

    Raises:
        ValueError: where a case lacks a modality; it names the files.
    """
    files = [[_file(case, kind) for kind in MODALITIES] for case in ([folder] if _is_case(folder) else _cases(folder))]
    lost = [path for paths in files for path in paths if not path.is_file()]
    expected = f"expected {', '.join(MODALITIES)} of every case: add it, or remove the case"
    refuse_folder(folder, [f"{path.name} is missing; {expected}." for path in lost])
    return [[str(path) for path in paths] for paths in files]


def is_brats2021(folder: Path) -> bool:
    """Whether a folder holds a folder that is called like a case, or is one."""
    return folder.is_dir() and (_is_case(folder) or bool(_cases(folder)))


def _cases(folder: Path) -> list[Path]:
    """In natural order."""
    return sorted((path for path in folder.iterdir() if _is_case(path)), key=lambda path: natural(path.name))


def _is_case(path: Path) -> bool:
    return CASE.fullmatch(path.name) is not None and path.is_dir()


def _file(case: Path, kind: str) -> Path:
    """Of a modality, or `seg`; where there is none, what it should be called."""
    paths = [case / f"{case.name}_{kind}{ending}" for ending in ENDINGS]
    return next((path for path in paths if path.is_file()), paths[0])
