"""Datalist of Breast-MRI-NACT-Pilot (TCIA; Newitt and Hylton 2016), as PGDiffSeg splits it.

One volume per patient: `images/UCSF-BR-01.nii.gz`, or a folder `images/UCSF-BR-01/` of DICOM files, and the mask of the
same name in `masks/`. The volume is the examination before treatment; a dynamic one (DICOM phases, or a fourth axis in
NIfTI) is read at one phase, see `GreyReader`.

The split is by patient number: up to 48 train, 49 to 55 validate, 56 to 68 test. That gives 44, 7 and 13 of the 64
patients, which fits the paper's counts of slices (2634, 420 and 780); its text says 43, 7 and 14.
"""

import os
import re

from .layout_files import assemble, existing, refuse_folder
from .layout_folder import paired_files
from .problems import knowing_pairs

__all__ = ["nact_datalist"]

PATIENT = re.compile(r"UCSF-BR-(\d+)")
LAST_TRAINING, LAST_VALIDATION = 48, 55


def nact_datalist(folder: str | os.PathLike) -> dict:
    """Datalist of NACT, with absolute paths.

    Args:
        folder: has `images/` and `masks/` (or `labels/`).
    """
    folder = existing(folder)
    images, labels = paired_files(folder)
    unknown = [images[stem].name for stem in images if not PATIENT.fullmatch(stem)]
    with knowing_pairs(images, labels):
        refuse_folder(folder, [f"images/{name} is not called UCSF-BR-<number>: rename it." for name in unknown])
    keys = {stem: _key(int(PATIENT.fullmatch(stem)[1])) for stem in images}  # type: ignore[index]
    return assemble(images, labels, {stem: stem for stem in images}, keys, "patient", "patient")


def _key(number: int) -> str:
    if number <= LAST_TRAINING:
        return "training"
    return "validation" if number <= LAST_VALIDATION else "testing"
