"""Heat maps over the image they belong to.

Legend: H W size of the picture, h w of the heat map.
"""

import numpy as np
import torch
from matplotlib import colormaps
from torch.nn.functional import interpolate

from .case_file import UNLABELLED
from .colours import coloured

HEAT = 0.75  # part of the heat's colour where it is largest; where there is none, the image is as it was
GREY = 96  # of what nobody labelled
COLOURS = "inferno"  # grows lighter with the heat: it says the same without colour vision; the paper has "jet"


def resized(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (H, W), bilinear."""
    wide = interpolate(torch.as_tensor(heat, dtype=torch.float32)[None, None], size, mode="bilinear")
    return wide[0, 0].numpy()


def heated(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Picture (H, W) or (H, W, 3) in [0, 1] under a heat map (h, w) in [0, 1] -> (H, W, 3) uint8."""
    # Deviation: mixed by the heat, where the authors of PGDiffSeg add 0.6 of it to 0.7 of the image, because added to a
    # dark cyst the largest heat looks weaker than some heat on bright tissue.
    wide = resized(heat, picture.shape[:2]).clip(0, 1)  # (H, W)
    part = HEAT * wide[..., None]  # (H, W, 1)
    return _bytes((1 - part) * _three(picture) + part * colormaps[COLOURS](wide)[..., :3])


def in_colours(picture: np.ndarray) -> np.ndarray:
    """The picture alone, (H, W) or (H, W, 3) in [0, 1] -> (H, W, 3) uint8."""
    return _bytes(_three(picture))


def numbers_in_colours(numbers: np.ndarray) -> np.ndarray:
    """Numbers of structures (H, W) uint8 in their colours on black, what is `UNLABELLED` in grey: (H, W, 3) uint8."""
    return np.where((numbers != UNLABELLED)[..., None], coloured(numbers), np.uint8(GREY))


def _three(picture: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) -> (H, W, 3)."""
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _bytes(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [0, 1] -> uint8."""
    return np.asarray(picture.clip(0, 1) * 255).round().astype(np.uint8)


def heat_inside(heat: np.ndarray, lesion: np.ndarray) -> float:
    """Part of the heat (h, w) that lies in the lesion (H, W) bool, in [0, 1]; NaN where there is neither."""
    wide = resized(heat, lesion.shape)
    total = float(wide.sum())
    return float(wide[lesion].sum()) / total if total > 0 and lesion.any() else float("nan")
