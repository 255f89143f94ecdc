"""The sampler study of PGDiffSeg (section 5.5, figure 10): Dice and its spread against the number of evaluations.

Every repeat is a sample from other noise, scored alone. Its Dice is the mean over all images; drawn are mean and sample
variance over the repeats, for each sampler and budget, and full DDPM as a line. Image i takes its noise from the seeds
seed + i * repeats on, so that no two images and no two repeats share any.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import InvertibleTransform
from torch import nn

from ..diffusion.inferer import EnsembleInferer
from ..diffusion.samplers import evaluations
from ..diffusion.views import AS_IT_IS
from ..explain.sampler_figure import write_sampler_figure
from .cases import Case, cases_of, samples_of
from .rows import Rows, basis_of

SINGLE_STEP = "dpm_solver"  # two evaluations a step


class SamplerStudy:
    """Writes `sampler_study.csv` (a line per sampler and budget) and `sampler_study.png`; goes on when interrupted.

    Args:
        dataset:       items with `image` (preprocessed), `label` (own size) and `patient`.
        preprocessing: of `image`, to be inverted.
        network:       a `Denoiser` with its weights.
        inferer:       whose other arguments are used.
        samplers:      names of `samplers.SAMPLERS`.
        budgets:       numbers of network evaluations.
        repeats:       of every sampling.
        ddpm_steps:    of the line for DDPM, T for all of them; 0 for none.
        output_dir:    where the files go.
        device:        of the network.

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
        budgets_of = {name: list(budgets) for name in samplers} | ({"ddpm": [ddpm_steps]} if ddpm_steps else {})
        self.inferers = [
            inferer.changed(sampler=name, steps=steps_within(name, budget), samples=repeats, start=None, **AS_IT_IS)
            for name, own in budgets_of.items()
            for budget in own
        ]
        self.cases = cases_of(dataset, preprocessing, torch.device(device), inferer.exclusive)
        self.network = network
        basis = basis_of(self.cases, inferer, network) | {"repeats": repeats}
        self.rows = Rows(Path(output_dir), "sampler_study", basis)

    def run(self) -> list[dict[str, Any]]:
        """Sample, score, write, draw."""
        rows = []
        for inferer in self.inferers:
            count = evaluations(inferer.sampler, len(inferer.timesteps))
            rows.append(self.rows.get(f"{inferer.sampler} {count}", partial(self._row, inferer)))
        write_sampler_figure(rows, self.rows.folder / "sampler_study.png")
        return rows

    def _row(self, inferer: EnsembleInferer) -> dict[str, Any]:
        dice, seconds = repeated_dice(self.cases, inferer, self.network)  # (repeats, images), seconds per sample
        each = dice.mean(axis=1)  # (repeats,)
        lesion = dice[:, [case.has_lesion for case in self.cases]].mean(axis=1)  # (repeats,)
        variance = float(each.var(ddof=1)) if len(each) > 1 else float("nan")
        row = {"sampler": inferer.sampler, "evaluations": evaluations(inferer.sampler, len(inferer.timesteps))}
        row |= {"dice_mean": float(each.mean()), "dice_variance": variance, "dice_lesion_mean": float(lesion.mean())}
        row |= {"seconds_per_sample": seconds, "images": len(self.cases), "repeats": len(each)}
        return row | {f"dice_{i}": float(value) for i, value in enumerate(each)}


def steps_within(sampler: str, budget: int) -> int:
    """The most steps whose evaluations stay within a budget of at least 1."""
    # Deviation: the paper shortens the last group of a single-step solver to use up the budget; here an even budget
    # leaves one evaluation unused, because the sampler has no steps of mixed order. The rows name what was used.
    return (budget + 1) // 2 if sampler == SINGLE_STEP else budget


def repeated_dice(cases: Sequence[Case], inferer: EnsembleInferer, network: nn.Module) -> tuple[np.ndarray, float]:
    """Dice of every sample of every image (N, images), and the median of the seconds per sample.

    The samples of an image share its condition, so that one alone takes longer.
    """
    dice, seconds = [], []
    for i, case in enumerate(cases):
        own = inferer.changed(seed=inferer.seed + i * inferer.samples)
        ((samples, duration),) = samples_of([case], own, network)
        dice.append([case.dice(sample) for sample in samples])
        seconds.append(duration / len(samples))
    return np.array(dice).T, float(np.median(seconds))
