"""Scores the cases of an evaluation by the policy, and writes what it found."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite import distributed as idist
from ignite.engine import Engine, Events
from monai.transforms import InvertibleTransform
from torch import Tensor

from ..data.reader import is_picture, same_place
from ..data.splits import group_by_of, natural, patient_of
from ..diffusion.fusion import harden
from ..digest import sha256
from ..files import check_writable
from ..meta import without_meta
from ..metrics.case_scores import BACKGROUND, case_scores, summarise
from ..metrics.score_files import write_scores
from ..ranks import gathered
from ..transforms.own_size import OwnSize
from .model_settings import tell_other_settings
from .resolved_config import bundle_of, fingerprint, resolved_config
from .save_results import facts_of_run
from .trained_on import read_images

logger = logging.getLogger(__name__)

SHOWN = ("dice", "dice_lesion", "iou", "hd95")


class SaveScores:
    """`cases.csv` (a line per image and structure), `scores.json` (means, intervals, counts, settings), `scores.md`.

    It expects decollated output with `mask` and `probability` at the images' own size, `samples` at the network's,
    `label` and `triage`; the batch's items may name the `patient`, say by `group_by` what it is (a patient, a group of
    near-duplicates, the image itself), and have `annotations` of several annotators. The means over patients become the
    engine's metrics.

    Args:
        output_dir:    where they go.
        preprocessing: of the images, which is inverted for the samples, structure by structure: many samples of many
                       structures of a volume at its own size would be large.
        model_file:    the weights; images that they were trained on, where that is known, are counted and told.
        structures:    names of the channels, of several; None: masks have one channel, which needs no name.
        exclusive:     channel 0 is the background, before those of the structures; a pixel whose label has no class is
                       not counted.
        background:    score it, too, for what concerns all classes: `classes` in `scores.json`.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(
        self,
        output_dir: str,
        preprocessing: InvertibleTransform,
        model_file: str | None = None,
        structures: Iterable[str] | None = None,
        exclusive: bool = False,
        background: bool = False,
    ) -> None:
        self.channels = channels_of(structures, exclusive, background)
        self.exclusive = exclusive
        self.own_size = OwnSize(preprocessing)
        self.known = None if model_file is None else read_images(model_file)
        self.folder = Path(output_dir)
        check_writable(self.folder)
        config = resolved_config()
        self.config, self.bundle = fingerprint(config), bundle_of(config)
        self.weights = "" if model_file is None else sha256(model_file)
        if model_file is not None:
            tell_other_settings(config, model_file)
        self.cases: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Score after every batch; write at the end."""
        engine.add_event_handler(Events.STARTED, lambda engine: self.cases.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.save)

    def collect(self, engine: Engine) -> None:
        """Score each image of a batch."""
        outputs: Any = engine.state.output
        sources: Any = engine.state.batch
        for item, source in zip(outputs, sources, strict=True):
            path = item["image"].meta["filename_or_obj"]
            known = {} if self.known is None else {"trained_on": int(sha256(path) in self.known)}
            lines = scored(item, source, self.own_size, self.channels, self.exclusive)
            self.cases += [case | known for case in lines]

    def save(self, engine: Engine) -> None:
        """The files, by the first rank."""
        cases = sorted(gathered(self.cases), key=lambda case: natural(case["image"]))  # however many ranks there are
        summary = summarise(cases, self.exclusive)
        seen = len({case["image"] for case in cases if case.get("trained_on")})
        if self.known is not None:
            summary["counts"]["trained_on"] = seen
        engine.state.metrics |= summary["means"]
        if idist.get_rank() > 0:
            return
        write_scores(cases, summary | facts_of_run(engine, self.config, self.bundle, self.weights), self.folder)
        counts, means = summary["counts"], summary["means"]
        if seen:
            logger.warning(
                f"{seen} of these {counts['images']} images were trained on: the scores say nothing of others"
            )
        shown = "  ".join(f"{name} {means[name]:.4f}" for name in SHOWN)
        logger.info(f"{counts['images']} images, {counts['with_lesion']} with a lesion: {shown} -> {self.folder}")


def scored(
    item: Mapping[str, Any],
    source: Mapping[str, Any],
    own_size: Callable[[Mapping[str, Any], Tensor], Tensor],
    channels: Sequence[tuple[str | None, int]] = ((None, 0),),
    exclusive: bool = False,
    kept: Tensor | None = None,
) -> list[dict[str, Any]]:
    """One image's lines, one per structure: its name, patient and what that is, triage number and scores.

    Args:
        item:       decollated output, `mask`, `label` and `probability` (K, ...), `samples` (N * K, h, w[, D]).
        source:     the item of the batch, which may name the `patient` and its `group_by`, and have `annotations`
                    (A, ...) of a mask with one channel.
        own_size:   takes the item and maps (N, h, w[, D]) to (N, ...).
        channels:   name and channel of what is scored.
        exclusive:  classes exclude one another: what has none of them in the label is not counted.
        kept:       (...) bool, what is counted of the image; None: all of it.
    """
    path, meta = item["image"].meta["filename_or_obj"], item["image"].meta
    mask, label, probability = (_plain(item[key]) for key in ("mask", "label", "probability"))  # (K, ...) each
    samples = _plain(item["samples"]).unflatten(0, (-1, len(mask)))  # (N, K, h, w[, D])
    if exclusive:  # the largest class of each sample, which may be below a half
        samples = harden(samples[None], exclusive)[0].float()  # (N, K, h, w[, D])
    annotations = _plain(source["annotations"]) if "annotations" in source else None  # (A, ...)
    spacing = None if is_picture(path) else _spacing(meta, mask.ndim - 1)
    if spacing and not same_place(
        np.asarray(meta["original_affine"]), np.asarray(source["label"].meta["original_affine"])
    ):
        raise ValueError(f"The label of {path} has another position, spacing or orientation: resample it.")
    patient = patient_of(source)
    owner = {"patient": path if patient is None else patient, "group_by": group_by_of(source)}
    head = {"image": path, **owner, "triage": float(item.get("triage", float("nan")))}
    lines = []
    labelled = label.any(dim=0) if exclusive else None  # (...)
    if labelled is not None and not labelled.any():
        raise ValueError(f"The label of {path} has no labelled pixel; expected some: take it out of this section.")
    if kept is not None:
        labelled = kept if labelled is None else kept & labelled
    for name, k in channels:
        try:
            own = own_size(item, samples[:, k])  # (N, ...)
            scores = case_scores(mask[k], label[k], probability[k], own, annotations, spacing, labelled)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        lines.append(head | ({} if name is None else {"structure": name}) | scores)
    return lines


def channels_of(
    structures: Iterable[str] | None, exclusive: bool, background: bool = False
) -> list[tuple[str | None, int]]:
    """Names and channels of what is scored; a single channel has no name."""
    if structures is None:
        return [(None, 0)]
    own: list[tuple[str | None, int]] = [(name, k + exclusive) for k, name in enumerate(structures)]
    return [*own, (BACKGROUND, 0)] if exclusive and background else own


def _spacing(meta: Mapping[str, Any], axes: int) -> list[float]:
    """Size in mm of a pixel or voxel along each axis of the file."""
    return np.linalg.norm(np.asarray(meta["original_affine"])[:3, :3], axis=0)[:axes].tolist()


def _plain(tensor: Tensor) -> Tensor:
    """On the CPU, without MONAI's meta data."""
    return without_meta(tensor).detach().cpu()
