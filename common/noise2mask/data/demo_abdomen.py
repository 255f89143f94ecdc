"""Volumes that look like computed tomography of an abdomen, with four organs: a data set to try several structures on.

A body of fat and muscle with spine and stomach, and in it the organs STRUCTURES: a large liver, a spleen, two kidneys
and a thin aorta. The organs differ from patient to patient in place, size and contrast, and the stomach may look like
any of them; spleen and kidneys are told apart by place and shape more than by their grey values.

Patient `n` depends on the seed and n alone.

Legend: X Y Z axes of the volume, to the right, to the front and upwards (RAS); one unit of the body is half its width.
"""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from .demo_files import claim_folder
from .splits import split_groups

__all__ = ["STRUCTURES", "make_volume", "write_demo"]

STRUCTURES = ("liver", "spleen", "kidney", "aorta")  # values 1 to 4 of the masks
SHAPE = (64, 52, 24)  # X, Y, Z
SPACING = (5.0, 5.0, 8.0)  # mm
AIR, FAT, MUSCLE, BONE = -1000.0, -100.0, 55.0, 400.0  # Hounsfield units
ORGANS = {"liver": 115.0, "spleen": 130.0, "kidney": 180.0, "aorta": 220.0}
NOISE, BLUR = 18.0, 0.6  # Hounsfield units; pixels


class Ellipsoid(NamedTuple):
    """Centre and half axes along X, Y, Z, in units of the body (Z: half the volume's height)."""

    centre: tuple[float, float, float]
    axes: tuple[float, float, float]


PLACES = {  # of the mean patient
    "liver": [Ellipsoid((0.42, 0.10, 0.25), (0.44, 0.52, 0.65))],
    "spleen": [Ellipsoid((-0.66, -0.20, 0.40), (0.18, 0.30, 0.40))],
    "kidney": [
        Ellipsoid((0.40, -0.45, -0.45), (0.16, 0.17, 0.38)),
        Ellipsoid((-0.42, -0.45, -0.35), (0.16, 0.17, 0.38)),
    ],
    "aorta": [Ellipsoid((-0.06, -0.20, 0.0), (0.07, 0.07, 3.0))],
}
STOMACH = Ellipsoid((-0.38, 0.30, 0.45), (0.24, 0.22, 0.40))
SPINE = Ellipsoid((0.0, -0.52, 0.0), (0.14, 0.16, 3.0))


def make_volume(seed: int, patient: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Image (X, Y, Z) float32 in Hounsfield units, and mask (X, Y, Z) uint8 of 0 and the numbers of STRUCTURES."""
    rng = np.random.default_rng((seed, patient))
    grid = _grid(shape)  # (3, X, Y, Z)
    fat = rng.uniform(0.06, 0.16)  # thickness under the skin
    image = np.full(shape, AIR)
    image[_inside(grid, Ellipsoid((0, 0, 0), (0.96, 0.96, 9)))] = FAT
    image[_inside(grid, Ellipsoid((0, 0, 0), (0.96 - fat, 0.96 - fat, 9)))] = MUSCLE
    image[_inside(grid, _varied(STOMACH, rng))] = rng.uniform(0, 180)
    image[_inside(grid, SPINE)] = BONE
    mask = np.zeros(shape, np.uint8)
    for number, name in enumerate(STRUCTURES, start=1):
        level = ORGANS[name] + rng.normal(0, 15)
        for place in PLACES[name]:
            inside = _inside(grid, _varied(place, rng)) & (mask == 0) & (image > FAT)
            mask[inside], image[inside] = number, level
    image = gaussian_filter(image, BLUR) + rng.normal(0, NOISE, shape)
    return image.astype(np.float32), mask


def write_demo(folder: str | os.PathLike, patients: int = 24, seed: int = 0, layout: str = "folder") -> Path:
    """Write a plain folder of NIfTI volumes with masks and manifest.csv; return it.

    Raises:
        ValueError: where the layout is another one, or the folder holds something else.
    """
    if layout != "folder":
        raise ValueError(f"layout is {layout!r}, but volumes are written as a plain folder alone; expected 'folder'.")
    folder = claim_folder(folder, {"kind": "abdomen", "patients": patients, "seed": seed, "layout": layout})
    names = [f"abdomen_{patient:03d}" for patient in range(patients)]
    split = split_groups(names, seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    for patient, name in enumerate(names):
        image, mask = make_volume(seed, patient)
        for kind, array in (("images", np.round(image).astype(np.int16)), ("masks", mask)):
            nib.save(nib.Nifti1Image(array, np.diag([*SPACING, 1.0])), folder / kind / f"{name}.nii.gz")
    with open(folder / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("image", "patient", "split"))
        table.writerows((name, name, split[name]) for name in names)
    return folder


def _grid(shape: tuple[int, int, int]) -> np.ndarray:
    """(3, X, Y, Z), coordinates from -1 to 1 along each axis."""
    return np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"))


def _varied(place: Ellipsoid, rng: np.random.Generator) -> Ellipsoid:
    """Of another patient: elsewhere by some 0.04, larger or smaller by some 10 %."""
    centre, axes = np.array(place.centre), np.array(place.axes)
    return Ellipsoid(tuple(centre + rng.normal(0, 0.04, 3)), tuple(axes * rng.normal(1, 0.1, 3).clip(0.7, 1.3)))


def _inside(grid: np.ndarray, place: Ellipsoid) -> np.ndarray:
    """(X, Y, Z) bool."""
    centre, axes = (np.reshape(values, (3, 1, 1, 1)) for values in place)
    return (((grid - centre) / axes) ** 2).sum(axis=0) <= 1
