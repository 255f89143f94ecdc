"""What studies share: the cases of a data set, scored under many settings of one trained network.

Legend: B = 1 image, N samples, K classes, h w the network's size, S the image's own size.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import torch
from monai.transforms import InvertibleTransform
from torch import Tensor, nn

from ..data.splits import group_by_of, patient_of
from ..data.structures import without_background
from ..diffusion.fusion import harden
from ..diffusion.inferer import EnsembleInferer
from ..meta import without_meta
from ..metrics.overlap import dice_of
from ..transforms.own_size import OwnSize


class Case(NamedTuple):
    """One image of a study."""

    image: Tensor  # (1, C, h, w[, D])
    other: Tensor | None  # (1, C, h, w[, D]), the next image of the same size and another patient, if there is one
    label: Tensor  # (K, *S) in {0, 1}, of exclusive classes the background's first
    patient: str
    restore: Callable[[Tensor], Tensor]  # maps (M, h, w[, D]) -> (M, *S)
    group_by: str = "patient"  # what the patient is: "patient", "group" or "image"
    exclusive: bool = False  # classes exclude one another

    @property
    def has_lesion(self) -> bool:
        """Whether the label is not empty."""
        return bool(without_background(self.label, self.exclusive).any())

    def dice(self, probability: Tensor) -> float:
        """Dice at the image's own size of a probability (K, h, w[, D]); of several structures their mean."""
        hard = harden(self.restore(probability)[None, None], self.exclusive)[0, 0]  # (K, *S)
        masks, labels = (without_background(own, self.exclusive) for own in (hard, self.label))  # (S, *S) each
        return fmean(dice_of(mask, label) for mask, label in zip(masks, labels, strict=True))


def cases_of(
    dataset: Sequence[Any], preprocessing: InvertibleTransform, device: torch.device, exclusive: bool = False
) -> list[Case]:
    """All images of a data set, each with the next one of another patient."""
    items = [dataset[i] for i in range(len(dataset))]
    named = [patient_of(item) for item in items]
    files = [item["image"].meta["filename_or_obj"] for item in items]
    patients = [str(file if name is None else name) for name, file in zip(named, files, strict=True)]
    images = [without_meta(item["image"])[None].to(device) for item in items]  # (1, C, h, w[, D]) each
    own_size, cases = OwnSize(preprocessing), []
    for i, item in enumerate(items):
        label = without_meta(item["label"]).cpu()  # (K, *S)
        other = _next_of_another(patients, images, i)
        restore = partial(_restored, own_size, item)
        cases.append(Case(images[i], other, label, patients[i], restore, group_by_of(item), exclusive))
    return cases


def _restored(own_size: OwnSize, item: Any, maps: Tensor) -> Tensor:
    """(M, h, w[, D]) -> (M, *S)."""
    return own_size(item, maps.cpu())


def _next_of_another(patients: Sequence[str], images: Sequence[Tensor], i: int) -> Tensor | None:
    for step in range(1, len(patients)):
        j = (i + step) % len(patients)
        if patients[j] != patients[i] and images[j].shape == images[i].shape:
            return images[j]
    return None


def samples_of(cases: Sequence[Case], inferer: EnsembleInferer, network: nn.Module) -> Iterator[tuple[Tensor, float]]:
    """For each case its samples (N, K, h, w[, D]) and the seconds they took."""
    for case in cases:
        start = time.perf_counter()
        samples = inferer.sample(case.image, network)[0]  # (N, K, h, w[, D])
        yield samples, time.perf_counter() - start
