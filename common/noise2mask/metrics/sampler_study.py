"""The sampler study of PGDiffSeg (section 5.5, figure 10): Dice and its spread against the number of evaluations.

Every repeat is a sample from other noise, scored alone. Its Dice is the mean over all images; drawn are mean and
variance over the repeats, for each sampler and budget, and full DDPM as a line.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import InvertibleTransform
from torch import nn

from ..diffusion.inferer import EnsembleInferer
from ..diffusion.samplers import evaluations
from ..explain.sampler_figure import write_sampler_figure
from ..files import check_writable, write_text_atomically
from .score_files import csv_text
from .study import Case, cases_of, samples_of

SINGLE_STEP = "dpm_solver"  # two evaluations a step


class SamplerStudy:
    """Writes `sampler_study.csv` (a line per sampler and budget) and `sampler_study.png`.

    Args:
        dataset:       items with `image` (preprocessed), `label` (own size) and `patient`.
        preprocessing: of `image`, to be inverted.
        network:       a `Denoiser` with its weights.
        inferer:       whose target, schedule, spacing and clipping are used.
        samplers:      names of `samplers.SAMPLERS`.
        budgets:       numbers of network evaluations.
        repeats:       of every sampling, from seed on.
        ddpm_steps:    of the line for DDPM, T for all of them; 0 for none.
        output_dir:    where the files go.

    Raises:
        ValueError: where a budget is larger than T, a name is unknown, or the folder can not be written to.
    """

    def __init__(
        self,
        dataset: Sequence[Any],
        preprocessing: InvertibleTransform,
        network: nn.Module,
        inferer: EnsembleInferer,
        samplers: Sequence[str],
        budgets: Sequence[int],
        repeats: int,
        ddpm_steps: int,
        output_dir: str,
        device: torch.device | str = "cpu",
    ) -> None:
        self.folder = Path(output_dir)
        check_writable(self.folder)
        self.inferers = [
            (name, inferer.changed(sampler=name, steps=steps_within(name, budget), samples=repeats, start=None))
            for name in samplers
            for budget in budgets
        ]
        if ddpm_steps:
            self.inferers.append(
                ("ddpm", inferer.changed(sampler="ddpm", steps=ddpm_steps, samples=repeats, start=None))
            )
        self.cases = cases_of(dataset, preprocessing, torch.device(device))
        self.network = network

    def run(self) -> list[dict[str, Any]]:
        """Sample, score, write; a finished line is written at once, so that an interruption loses little."""
        rows: list[dict[str, Any]] = []
        for name, inferer in self.inferers:
            dice, seconds = repeated_dice(self.cases, inferer, self.network)  # (repeats, images), seconds per image
            each = dice.mean(axis=1)  # (repeats,)
            lesion = dice[:, [case.has_lesion for case in self.cases]].mean(axis=1)  # (repeats,)
            row = {"sampler": name, "evaluations": evaluations(name, len(inferer.timesteps))}
            row |= {"dice_mean": each.mean(), "dice_variance": each.var(), "dice_lesion_mean": lesion.mean()}
            row |= {"seconds_per_image": seconds, "images": len(self.cases), "repeats": len(each)}
            row |= {f"dice_{i}": value for i, value in enumerate(each)}
            rows.append(row)
            write_text_atomically(csv_text(rows), self.folder / "sampler_study.csv")
        write_sampler_figure(rows, self.folder / "sampler_study.png")
        return rows


def steps_within(sampler: str, budget: int) -> int:
    """The most steps whose evaluations stay within a budget of at least 1."""
    return (budget + 1) // 2 if sampler == SINGLE_STEP else budget


def repeated_dice(cases: Sequence[Case], inferer: EnsembleInferer, network: nn.Module) -> tuple[np.ndarray, float]:
    """Dice of every sample of every image (N, images), and the median of the seconds per image and sample."""
    dice, seconds = [], []
    for case, (samples, duration) in zip(cases, samples_of(cases, inferer, network), strict=True):
        dice.append([case.dice(sample) for sample in samples])
        seconds.append(duration / len(samples))
    return np.array(dice).T, float(np.median(seconds))
