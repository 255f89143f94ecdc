"""Keeps of every case what reports and figures show: image, label, mask, samples, and the way from noise to mask.

Legend: B images, K channels, S structures, N samples, h w[, D] the network's size.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from torch import Tensor

from ..data.results import STD_WHITE
from ..data.structures import label_map, without_background
from ..diffusion.fusion import harden
from ..diffusion.trace import Trace, foreground, grey
from ..diffusion.uncertainty import standard_deviation
from ..digest import sha256
from ..explain.case_file import MOST_SLICES, MOST_STEPS, CaseRecord, case_path, run_digest, write_case
from ..explain.seen import names_of, seen_label
from ..files import check_writable
from ..meta import without_meta
from ..spread import check_most, evenly


class SaveCases:
    """Of an `UncertaintyEvaluator` with decollated output: `cases/<stem>.npz` of every image.

    Args:
        output_dir: where the folder `cases` goes.
        model_file: the weights, which a case says it was made with.
        structures: names of the channels, of several; None: masks have one channel, which needs no name.
        exclusive:  channel 0 is the background, before those of the structures.
        most_steps: of the sampler, evenly spread, that are kept of the first sample.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(
        self,
        output_dir: str,
        model_file: str,
        structures: Iterable[str] | None = None,
        exclusive: bool = False,
        most_steps: int = MOST_STEPS,
    ) -> None:
        check_most(most_steps)
        self.folder, self.most_steps = Path(output_dir), most_steps
        self.structures, self.exclusive = list(structures or ()), exclusive
        self.weights = sha256(model_file)
        check_writable(self.folder)

    def attach(self, engine: Engine) -> None:
        """Watch the sampler, and write after every batch."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.save)

    def start(self, engine: Engine) -> None:
        """Choose the steps."""
        inferer: Any = engine.inferer
        self.run = run_digest(self.weights, inferer.settings)
        self.names = names_of(engine.data_loader.dataset.data)
        steps = evenly(len(inferer.timesteps), self.most_steps)
        self.trace = Trace(steps, inferer.noise_schedule, inferer.mask_scale, self.exclusive)
        engine.watch = self.trace

    def begin(self, engine: Engine) -> None:
        """Forget the batch before; of volumes some slices are watched alone."""
        batch: Any = engine.state.batch
        depth = batch["image"].shape[4] if batch["image"].ndim == 5 else None  # of (B, C, h, w[, D])
        self.trace.begin(depth, _slices(depth))

    def save(self, engine: Engine) -> None:
        """The files of one batch."""
        outputs: Any = engine.state.output
        sources: Any = engine.state.batch
        noisy, clean, timesteps = self.trace.of_images(len(outputs))  # (B, T, h, w[, D]) each
        for i, (item, source) in enumerate(zip(outputs, sources, strict=True)):
            path = item["image"].meta["filename_or_obj"]
            label = seen_label(source["label"], item["image"], self.exclusive) if "label" in source else None
            record = self._record(item, label, noisy[i], clean[i], timesteps)
            write_case(record, case_path(self.folder, self.names[path]))

    def _record(
        self, item: dict[str, Any], label: Tensor | None, noisy: Tensor, clean: Tensor, timesteps: list[int]
    ) -> CaseRecord:
        """Of one item: noisy and clean (T, h, w[, D]), already cut, label (h, w[, D])."""
        image = without_meta(item["image"]).cpu()  # (C, h, w[, D])
        channels = len(self.structures) + self.exclusive if self.structures else 1
        slices = _slices(image.shape[3] if image.ndim == 4 else None)
        samples = without_meta(item["samples"]).cpu().unflatten(0, (-1, channels))  # (N, K, h, w[, D])
        # First cut: copies of many samples of a volume are large
        probability = _cut(without_meta(item["fused"]).cpu()[None], slices)  # (1, K, h, w[, D])
        samples = _cut(samples, slices)  # (N, K, h, w[, D])
        mask = harden(probability[None], self.exclusive)[0]  # (1, K, h, w[, D])
        several = harden(samples[None], self.exclusive)[0]  # (N, K, h, w[, D])
        std = standard_deviation(samples[None]).amax(dim=1)[0]  # (h, w[, D])
        most = math.log(channels) if self.exclusive else channels * math.log(2)
        arrays = {
            "image": grey(_cut(image[:3] if len(image) == 3 else image[:1], slices)),
            "mask": self._numbers(mask)[0],
            "probability": grey(foreground(2 * probability - 1, self.exclusive))[0],
            "std": grey(2 * std / STD_WHITE - 1),
            "entropy": grey(2 * _cut(without_meta(item["entropy"]).cpu()[0], slices) / most - 1),
            "samples": self._numbers(several),
            "noisy": noisy,
            "clean": clean,
            "label": None if label is None else _cut(label, slices),
        }  # (.., h, w[, D]) each
        shown = {name: None if own is None else np.ascontiguousarray(own.numpy()) for name, own in arrays.items()}
        facts = {"image": item["image"].meta["filename_or_obj"], "triage": float(item["triage"])}
        facts |= {"structures": self.structures, "run": self.run, **placed(item["image"], slices)}
        return CaseRecord(**shown, timesteps=np.array(timesteps, np.int64), facts=facts)  # type: ignore[arg-type]

    def _numbers(self, masks: Tensor) -> Tensor:
        """(N, K, ...) bool -> (N, ...) uint8, numbers of structures."""
        return torch.stack([label_map(without_background(own, self.exclusive)) for own in masks])


def placed(image: MetaTensor, slices: list[int] | None) -> dict[str, Any]:
    """Where what is kept of an image (C, h, w[, D]) lies: `spacing`, and of a volume `slices`, `axis` and `axcodes`.

    Returns:
        The spacing of rows and columns in mm, of pictures in pixels of the file; the numbers that the slices have in
        the file, counted from 0; along which of its axes they are counted, 0 to 2; and where rows, columns and slices
        run to, such as PLS.
    """
    affine = image.affine.double().cpu().numpy()
    facts: dict[str, Any] = {"spacing": np.linalg.norm(affine[:3, :2], axis=0).tolist(), "slices": None}
    if slices is None:
        return facts
    to_file = np.linalg.inv(np.asarray(image.meta.get("original_affine", affine), float)) @ affine
    axis = int(np.abs(to_file[:3, 2]).argmax())
    first, step = to_file[axis, 3], to_file[axis, 2]
    numbers = [round(float(first + step * k)) for k in slices]
    codes = "".join(str(code) for code in nib.aff2axcodes(affine))
    return facts | {"slices": numbers, "axis": axis, "axcodes": codes}


def _slices(depth: int | None) -> list[int] | None:
    """Which are kept of a volume; None of a picture."""
    return None if depth is None else evenly(depth, MOST_SLICES)


def _cut(array: Tensor, slices: list[int] | None) -> Tensor:
    """(..., D), of a volume with the slices that are kept."""
    return array if slices is None else array[..., slices]
