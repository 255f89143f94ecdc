"""How the scores of a trained network fall when images get worse: noise, blur, less contrast, a smaller field of view.

Every row is an evaluation of the same images under one corruption at one severity, by the policy of every evaluation;
the first row is that of the images as they are, and has the scores that evaluating gives.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from monai.data import Dataset
from torch import nn

from ..diffusion.fusion import fuse, harden
from ..diffusion.inferer import EnsembleInferer
from ..diffusion.uncertainty import triage
from ..explain.robustness_figure import write_robustness_figure
from ..explain.robustness_table import AS_THEY_ARE, scores_table
from ..files import write_text_atomically
from ..handlers.scores import channels_of, scored
from ..meta import without_meta
from ..metrics.case_scores import summarise
from ..metrics.interval import over_patients
from ..metrics.policy import policy, unit_of
from ..metrics.table import markdown
from ..transforms.corruption import KEPT, check_severity, corrupting
from ..transforms.own_size import OwnSize
from .cases import cases_of
from .rows import Rows, basis_of


class RobustnessStudy:
    """Writes `robustness_study.csv` and `.md`, a row per severity, and their figure; goes on when interrupted.

    Args:
        dataset:    its transform reads `image` (preprocessed) and `label` (own size); items may name the `patient`.
        network:    a `Denoiser` with its weights.
        inferer:    how it is sampled.
        severities: name of `corruption.CORRUPTIONS` -> its severities, each in its unit; an empty list leaves it out.
        output_dir: where the files go.
        device:     of the network.

    Raises:
        ValueError: where a corruption or a severity is none, or the folder can not be written to.
    """

    def __init__(
        self,
        dataset: Dataset,
        network: nn.Module,
        inferer: EnsembleInferer,
        severities: Mapping[str, Sequence[float]],
        output_dir: str,
        device: torch.device | str = "cpu",
    ) -> None:
        self.conditions = _conditions(severities)
        self.dataset, self.network, self.inferer = dataset, network, inferer
        self.device, exclusive = torch.device(device), inferer.exclusive
        numbers = [str(number) for number in range(1, inferer.out_channels - exclusive + 1)]
        self.channels = channels_of(numbers if inferer.out_channels > 1 else None, exclusive)
        cases = cases_of(cast(Sequence[Any], dataset), dataset.transform, self.device, exclusive)
        unit = unit_of(case.group_by for case in cases)
        self.policy = policy(unit, structures=inferer.out_channels > 1, exclusive=exclusive)
        self.rows = Rows(Path(output_dir), "robustness_study", basis_of(cases, inferer, network))

    def run(self) -> list[dict[str, Any]]:
        """Sample, score, write, draw."""
        rows = [self.rows.get(AS_THEY_ARE, partial(self._row, AS_THEY_ARE, None))]
        for name, severity in self.conditions:
            rows.append(self.rows.get(f"{name} {severity}", partial(self._row, name, severity)))
        text = f"{markdown(*scores_table(rows))}\n\n{rows[0]['images']} images. Policy: {self.policy}.\n"
        write_text_atomically(text, self.rows.folder / "robustness_study.md")
        write_robustness_figure({"": rows}, self.rows.folder / "robustness_study.png")
        return rows

    def _row(self, corruption: str, severity: float | None) -> dict[str, Any]:
        read = self.dataset.transform
        read = read if severity is None else corrupting(read, corruption, severity)
        images, own_size, lines = Dataset(self.dataset.data, read), OwnSize(read), []
        for number in range(len(images)):
            try:
                lines += self._scored(images[number], own_size)
            except (RuntimeError, ValueError) as error:
                said = error.__cause__ or error  # MONAI hides what a transform says in a RuntimeError
                if severity is None or not isinstance(said, ValueError):
                    raise
                raise ValueError(f"{said} This is with {corruption} {severity}: leave this severity out.") from error
        summary = summarise(lines, self.inferer.exclusive)
        (low, high), means = summary["intervals"]["dice"], summary["means"]
        row = {"corruption": corruption, "severity": severity, "images": summary["counts"]["images"]}
        row |= {"dice": means["dice"], "dice_low": low, "dice_high": high}
        row |= {"expected_calibration_error": means["expected_calibration_error"], "triage": self._mean_triage(lines)}
        return row | {"triage_spearman_with_dice": summary["triage"]["spearman_with_dice"]}

    def _scored(self, item: Mapping[str, Any], own_size: OwnSize) -> list[dict[str, Any]]:
        """The lines of one image, one per structure, as an evaluation has them."""
        image, exclusive = without_meta(item["image"])[None].to(self.device), self.inferer.exclusive
        samples = self.inferer.sample(image, self.network)  # (1, N, K, h, w[, D])
        fused = fuse(samples, self.inferer.fusion, exclusive)[0]  # (K, h, w[, D])
        probability = own_size(item, fused.cpu())  # (K, *S)
        found = {"image": item["image"], "label": item["label"], "probability": self.inferer.tempered(probability)}
        found |= {"mask": harden(probability[None, None], exclusive)[0, 0], "samples": samples[0].flatten(0, 1).cpu()}
        found |= {"triage": triage(samples, exclusive)["triage"][0]}
        source = {name: value for name, value in item.items() if name != "annotations"}  # nothing here compares them
        return scored(found, source, own_size, self.channels, exclusive, item.get(KEPT))

    def _mean_triage(self, lines: Sequence[Mapping[str, Any]]) -> float:
        """Over patients; of a single sample there is none."""
        if self.inferer.samples == 1:
            return float("nan")
        return over_patients([line["triage"] for line in lines], [line["patient"] for line in lines]).mean


def _conditions(severities: Mapping[str, Sequence[float]]) -> list[tuple[str, float]]:
    """Corruption and severity of each row, checked."""
    for name, own in severities.items():
        if not isinstance(own, list | tuple):
            raise ValueError(f"The severities of {name} are {own!r}, expected a list, such as [0.5]: correct it.")
    found = [(name, severity) for name, own in severities.items() for severity in own]
    if not found:
        raise ValueError("There are no severities, expected some of one corruption at least: nothing gets worse.")
    for name, severity in found:
        check_severity(name, severity)
    return found
