"""A generated stained slide per patient: two kinds of tissue on a bright background, each slide in a stain of its own.

Written as whole slides are expected (`python -m noise2mask.data.tiles` cuts them): images/, masks/, manifest.csv. Of
the masks 1 is the benign tissue, pale with few nuclei, 2 the malignant, with many large ones, 0 the background.

Legend: H W rows and columns.
"""

import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from .demo_files import claim_folder
from .splits import FRACTIONS, IN_MANIFESTS, KEYS, cut

SIDE = 192  # pixels of a slide
BACKGROUND = np.array([244.0, 243.0, 246.0])
STAINS = np.array([[232.0, 182.0, 206.0], [198.0, 132.0, 180.0]])  # of benign and malignant tissue
NUCLEI = np.array([96.0, 62.0, 140.0])
DENSITY = (0.004, 0.012)  # nuclei per pixel
RADIUS = (1.2, 2.2)  # of nuclei, pixels


def write_demo(folder: str | os.PathLike, patients: int, seed: int, layout: str = "folder") -> Path:
    """One slide for each patient.

    Raises:
        ValueError: where the folder holds something else, there is no patient, or the layout is not "folder".
    """
    if layout != "folder":
        raise ValueError(f"layout is {layout!r}, but slides have one alone: expected 'folder'.")
    if patients < 1:
        raise ValueError(f"patients is {patients}, expected at least 1: ask for more")
    folder = claim_folder(folder, {"kind": "tissue", "patients": patients, "seed": seed, "layout": layout})
    rows = [["image", "patient", "split"]]
    for key, numbers in zip(KEYS, cut(list(range(patients)), FRACTIONS), strict=True):
        rows += [[f"slide_{number:03d}.png", f"patient_{number:03d}", IN_MANIFESTS[key]] for number in numbers]
    for number in range(patients):
        image, mask = slide(np.random.default_rng([seed, number]))
        for kind, array in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(folder / kind / f"slide_{number:03d}.png")
    with open(folder / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return folder


def slide(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) and mask (H, W), uint8."""
    mask = _regions(random)
    shift = random.normal(0, 12, 3)  # the slide's own stain
    image = np.where((mask == 0)[..., None], BACKGROUND, (STAINS + shift)[np.maximum(mask, 1) - 1])  # (H, W, 3)
    image = image + ndimage.gaussian_filter(random.normal(0, 30, mask.shape), 1.5)[..., None] * (mask > 0)[..., None]
    for kind, (density, radius) in enumerate(zip(DENSITY, RADIUS, strict=True), start=1):
        nuclei = _nuclei(random, mask.shape, density, radius) * (mask == kind)  # (H, W) in [0, 1]
        image += nuclei[..., None] * (NUCLEI + shift - image)
    image += random.normal(0, 3, image.shape)
    return image.round().clip(0, 255).astype(np.uint8), mask.astype(np.uint8)


def _regions(random: np.random.Generator) -> np.ndarray:
    """(H, W) in {0, 1, 2}: smooth regions, all three of them there."""
    smooth = [ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 18, mode="wrap") for _ in range(2)]
    tissue, malignant = (field > np.quantile(field, share) for field, share in zip(smooth, (0.3, 0.5), strict=True))
    return np.where(tissue, 1 + malignant, 0)


def _nuclei(random: np.random.Generator, shape: tuple[int, ...], density: float, radius: float) -> np.ndarray:
    """(H, W) in [0, 1]: discs with soft borders."""
    distance = ndimage.distance_transform_edt(random.random(shape) >= density)  # (H, W), to the next centre
    return np.asarray((radius + 0.5 - distance).clip(0, 1))
