"""Figure 5 of DSDM's paper: an image comes out of noise, timestep by timestep.

Legend: C channels (3, or else the first is shown), K classes, T steps kept, H W size.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..data.structures import label_map
from ..diffusion.noise_schedule import NoiseSchedule
from ..diffusion.trace import grey
from ..spread import evenly
from .case_file import MOST_STEPS
from .colours import coloured, red_green_blue
from .strip import write_animation, write_strip


class Sampling(NamedTuple):
    """How one image was made; images in [-1, 1]."""

    timesteps: list[int]  # (T), the noisiest first
    noised: Tensor  # (T, C, H, W), x_t
    clean: Tensor  # (T, C, H, W), the image estimated from it; the last one is the result
    mask: Tensor  # (K, H, W), one-hot, the background first
    reference: Tensor  # (C, H, W)


def write_sampling_strip(sampling: Sampling, path: Path) -> Path:
    """At some timesteps x_t above the clean image estimated from it; beside them result, mask and reference.

    What lies outside the range of images, as noise does, is clipped to it.
    """
    shown = evenly(len(sampling.timesteps), MOST_STEPS)
    noised, clean = ([_picture(images[step]) for step in shown] for images in (sampling.noised, sampling.clean))
    made_from = coloured(label_map(sampling.mask[1:]).numpy()), _picture(sampling.reference)
    rows = [("noised image", [*noised, clean[-1], *made_from]), ("estimate", clean)]
    titles = [f"t = {sampling.timesteps[step]}" for step in shown]
    return write_strip(rows, [*titles, "result", "mask", "reference"], path)


def write_sampling_animation(sampling: Sampling, path: Path) -> Path:
    """The clean image as it is estimated at every timestep."""
    captions = [f"timestep {timestep}" for timestep in sampling.timesteps]
    return write_animation([_picture(image) for image in sampling.clean], captions, path)


def sampling_rows(name: str, sampling: Sampling, schedule: NoiseSchedule) -> list[dict[str, Any]]:
    """What sampling.csv says of each step; colours are in [0, 1].

    Returns:
        Rows of `mask`, `timestep`, `alpha` and `sigma` of x_t = alpha x_0 + sigma noise; `mean` and `std` over all
        pixels and channels of the estimate; `rmse`, the root mean square of its distance to the result.
    """
    unit = (sampling.clean.clamp(-1, 1) + 1) / 2  # (T, C, H, W)
    rows = []
    for timestep, image in zip(sampling.timesteps, unit, strict=True):
        alpha, sigma = schedule.alpha_sigma(timestep)
        measured = {
            "mean": image.mean(),
            "std": image.std(correction=0),
            "rmse": (image - unit[-1]).square().mean().sqrt(),
        }
        numbers = {"alpha": alpha, "sigma": sigma} | {key: float(value) for key, value in measured.items()}
        rows.append({"mask": name, "timestep": timestep} | {key: round(value, 6) for key, value in numbers.items()})
    return rows


def _picture(image: Tensor) -> np.ndarray:
    """(C, H, W) in [-1, 1] -> (H, W, 3) uint8."""
    return grey(red_green_blue(image)).permute(1, 2, 0).numpy()
