"""One trained network under many settings: steps, samples and start, beside what would show that it is fooling itself.

Every row stands beside the Dice with another patient's image as condition (a network that does not look at the image
loses nothing) and, where the network has a prior branch, beside the Dice of that alone.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.transforms import InvertibleTransform
from torch import nn

from ..diffusion.denoiser import Denoiser, unwrap
from ..diffusion.fusion import fuse
from ..diffusion.inferer import EnsembleInferer
from ..diffusion.views import AS_IT_IS
from ..explain.settings_figure import write_settings_figure
from ..files import write_text_atomically
from ..metrics.interval import over_patients
from ..metrics.policy import policy, unit_of
from ..metrics.table import markdown, number, with_interval
from .cases import Case, cases_of, samples_of
from .rows import Rows, basis_of


class SettingsStudy:
    """Writes `settings_study.csv` and `.md`, a row per setting, and their figure; goes on when interrupted.

    Args:
        dataset:       items with `image` (preprocessed), `label` (own size) and `patient`.
        preprocessing: of `image`, to be inverted.
        network:       a `Denoiser` with its weights.
        inferer:       whose other arguments are used.
        samplers:      names of `samplers.SAMPLERS`.
        steps:         numbers of steps.
        samples:       numbers of samples, fused as the inferer fuses.
        starts:        first timesteps; null starts from noise.
        output_dir:    where the files go.
        device:        of the network.

    Raises:
        ValueError: where there are more steps than timesteps, a name is unknown, a start needs a coarse mask that the
            network does not make, or the folder can not be written to.
    """

    def __init__(
        self,
        dataset: Sequence[Any],
        preprocessing: InvertibleTransform,
        network: nn.Module,
        inferer: EnsembleInferer,
        samplers: Sequence[str],
        steps: Sequence[int],
        samples: Sequence[int],
        starts: Sequence[int | None],
        output_dir: str,
        device: torch.device | str = "cpu",
    ) -> None:
        names = ("sampler", "start", "steps", "samples")
        self.has_prior = cast(Denoiser, unwrap(network)).has_coarse
        if not self.has_prior and any(start is not None for start in starts):
            found = f"starts are {list(starts)}, but this network makes no coarse mask"
            raise ValueError(f"{found}; expected [null], from noise alone: correct them.")
        grid = [dict(zip(names, v, strict=True)) for v in product(samplers, starts, steps, samples)]
        first = {"sampler": samplers[0], "start": starts[0], "steps": 0, "samples": samples[0]}
        self.settings = [
            setting for setting in grid if setting["steps"] or setting == first
        ]  # no step: the coarse mask
        self.inferers = [
            inferer.changed(**setting, **({} if setting["steps"] else AS_IT_IS)) for setting in self.settings
        ]
        self.cases = cases_of(dataset, preprocessing, torch.device(device), inferer.exclusive)
        self.network = network
        self.rows = Rows(Path(output_dir), "settings_study", basis_of(self.cases, inferer, network))

    def run(self) -> list[dict[str, Any]]:
        """Sample, score, write, draw."""
        prior = {}
        if self.has_prior:
            alone = self.inferers[0].changed(steps=0, samples=1, start=None, **AS_IT_IS)
            prior = _means(fused_dice(self.cases, alone, self.network)[0], self.cases)
        rows = []
        for setting, inferer in zip(self.settings, self.inferers, strict=True):
            compute = partial(self._row, setting, inferer, prior)
            rows.append(self.rows.get(" ".join(map(str, setting.values())), compute))
        own = self.inferers[0]
        exclusive, several = own.exclusive, own.out_channels - own.exclusive > 1
        said = policy(unit_of(case.group_by for case in self.cases), structures=several, exclusive=exclusive)
        text = f"{markdown(*study_table(rows))}\n\n{len(self.cases)} images. Policy: {said}.\n"
        write_text_atomically(text, self.rows.folder / "settings_study.md")
        write_settings_figure(rows, self.rows.folder / "settings_study.png")
        return rows

    def _row(self, setting: Mapping[str, Any], inferer: EnsembleInferer, prior: Mapping[str, float]) -> dict[str, Any]:
        dice, seconds = fused_dice(self.cases, inferer, self.network)
        others = [case._replace(image=case.other) for case in self.cases if case.other is not None]
        fooled, _ = fused_dice(others, inferer, self.network)
        row = {**setting, **_means(dice, self.cases), "seconds_per_image": seconds}
        row |= {f"{name}_of_another_condition": value for name, value in _means(fooled, others).items()}
        return row | {f"{name}_of_the_prior": value for name, value in prior.items()}


def fused_dice(cases: Sequence[Case], inferer: EnsembleInferer, network: nn.Module) -> tuple[list[float], float]:
    """Dice of the fused mask of every image, and the median of the seconds per image."""
    dice, seconds = [], []
    for case, (samples, duration) in zip(cases, samples_of(cases, inferer, network), strict=True):
        probability = fuse(samples[None], inferer.fusion, inferer.exclusive)[0]  # (K, h, w[, D])
        dice.append(case.dice(probability))
        seconds.append(duration)
    return dice, float(np.median(seconds)) if seconds else float("nan")


def _means(dice: Sequence[float], cases: Sequence[Case]) -> dict[str, float]:
    """Over patients, of all images and of those with a lesion, with intervals."""
    patients = [case.patient for case in cases]
    lesion = [value if case.has_lesion else np.nan for value, case in zip(dice, cases, strict=True)]
    means: dict[str, float] = {}
    for name, values in (("dice", dice), ("dice_lesion", lesion)):
        found = over_patients(values, patients)
        means |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    return means


def study_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the Markdown table of a study; the prior has a column where any row has one."""
    shown = {
        "dice_lesion_of_another_condition": "Dice, lesion: another's condition",
        "dice_lesion_of_the_prior": "Dice, lesion: prior alone",
        "seconds_per_image": "seconds per image",
    }
    shown = {name: title for name, title in shown.items() if any(name in row for row in rows)}
    head = ["sampler", "start", "steps", "samples", "Dice (95 % interval)", "Dice, lesion (95 % interval)"]
    body = []
    for row in rows:
        start = "noise" if row["start"] is None else f"prior at {row['start']}"
        dice = [with_interval(*(row[f"{n}{end}"] for end in ("", "_low", "_high"))) for n in ("dice", "dice_lesion")]
        numbers = [number(row.get(name)) for name in shown]
        body.append([row["sampler"], start, str(row["steps"]), str(row["samples"]), *dice, *numbers])
    return [*head, *shown.values()], body
