"""Writes what was inferred: per image the mask, probability, uncertainty, preview and statistics; per run one report.

Legend: K channels, S structures, ... spatial axes; everything in the size and geometry of the input file.
"""

import json
import logging
import platform
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ignite import distributed as idist
from ignite.engine import Engine, Events
from torch import Tensor

from ..data.dicom_series import is_measured
from ..data.reader import GreyReader, is_picture
from ..data.results import REPORT, STD_WHITE, stem, write_label_map, write_map, write_mask
from ..data.structures import label_map, without_background
from ..explain.preview import write_preview
from ..files import check_writable, write_text_atomically
from ..meta import without_meta
from ..ranks import gathered
from .batch import MADE_FROM, Batch

logger = logging.getLogger(__name__)

PACKAGES = ("monai", "torch", "numpy", "pytorch-ignite", "nibabel")
NUMBERS = ("triage", "agreement", "area_mean", "area_std")
OF_EACH = NUMBERS[1:]  # structure


class SaveResults:
    """For each image `<stem>_mask`, `_probability`, `_std`, `_preview.png` and `.json`; for the run `report.json`.

    It expects decollated output with `probability` (K, ...) and `std` (1, ...) inverted to the input's geometry, `mask`
    (K, ...) the hard one, and the numbers of `UncertaintyEvaluator`. Of several structures `_mask` is a label map, and
    each has its own `_probability_<name>`.

    Args:
        batch:      the cases, those that an earlier run has finished included.
        reader:     of the images in the previews; None: a `GreyReader`.
        modality:   which file of a case the previews show, counted from 0.
        structure:  what masks of one channel are of, by which DICOM objects are coded.
        structures: names of the channels, of several; None: masks have one channel.
        exclusive:  channel 0 is the background, before those of the structures.

    Raises:
        ValueError: where the batch's folder can not be written to, or a case has no such modality.
    """

    def __init__(
        self,
        batch: Batch,
        reader: GreyReader | None = None,
        modality: int = 0,
        structure: str = "foreground",
        structures: Iterable[str] | None = None,
        exclusive: bool = False,
    ) -> None:
        self.batch = batch
        self.structure = structure
        self.structures = None if structures is None else tuple(structures)
        self.exclusive = exclusive
        self.folder = batch.folder
        self.reader, self.modality = reader or GreyReader(), modality
        few = next((name for name, files in batch.files.items() if not 0 <= modality < len(files)), None)
        if few is not None:
            found = f"{few} has {len(batch.files[few])} files, but the preview is to show modality {modality}"
            raise ValueError(f"{found}; expected one from 0 up that every case has: change modality.")
        self.cases: list[dict[str, Any]] = []
        self.started = 0.0
        check_writable(self.folder)

    def attach(self, engine: Engine) -> None:
        """Write after every batch, and the report at the end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self.report)

    def start(self, engine: Engine) -> None:
        """Look at the clock; a report of other results goes, so that a kill does not leave it beside these."""
        if idist.get_rank() == 0:
            (self.folder / REPORT).unlink(missing_ok=True)
        self.cases, self.started = [], time.perf_counter()

    def save(self, engine: Engine) -> None:
        """The files of one batch."""
        for item in engine.state.output:
            file = self.batch.file(item["image"].meta["filename_or_obj"])
            file.unlink(missing_ok=True)  # first: other results are being overwritten, and no longer what it says
            case = self._save_case(item)
            write_text_atomically(json.dumps(case, indent=2), file)  # last: it is finished
            self.cases.append(case)
            logger.info(f"written: {file}  triage {case['triage']:.3f}")

    def report(self, engine: Engine) -> None:
        """`report.json`: versions, options, seconds, and all cases, the most uncertain first."""
        made = gathered(self.cases)
        cases = sorted([*self.batch.finished, *made], key=lambda case: (-case["triage"], case["image"]))
        if idist.get_rank() > 0:
            return
        seconds = time.perf_counter() - self.started
        report = {
            **facts_of_run(engine, self.batch.config, self.batch.bundle, self.batch.weights),
            "seconds": round(seconds, 3),
            "seconds_per_image": round(seconds / max(1, len(made)), 3),
            "finished_earlier": len(self.batch.finished),
            "cases": cases,
            "note": "Research software, not a medical device.",
        }
        write_text_atomically(json.dumps(report, indent=2), self.folder / REPORT)
        logger.info(f"{len(cases)} cases, {len(self.batch.finished)} of them finished earlier -> {self.folder}")

    def _save_case(self, item: dict[str, Any]) -> dict[str, Any]:
        """The files of one image, and what the report says of it."""
        case = self._case(item)
        files = [*_written_masks(case, self.folder), *self._written_doubt(case)]
        own = self.batch.warnings
        said = {"image": case.source, **case.numbers, **_whole(case), **self._structures(case)}
        entropy = float(item["entropy"].mean())  # nats per pixel, at the network's size
        said |= {"std_mean": float(case.std.mean()), "entropy_mean": entropy, "files": [path.name for path in files]}
        warned = {"warning": own[case.source]} if case.source in own else {}
        return said | warned | {MADE_FROM: self.batch.made_from(case.source)}

    def _case(self, item: Mapping[str, Any]) -> "_Case":
        meta = item["image"].meta
        each = [item[f"{name}_each"].tolist() for name in OF_EACH]  # structures each
        masks, probabilities = (without_background(item[key], self.exclusive) for key in ("mask", "probability"))
        return _Case(
            source=meta["filename_or_obj"],
            affine=np.asarray(meta.get("original_affine", np.eye(4))),
            names=self.structures,
            masks=_array(masks),
            labels=None if self.structures is None else _array(label_map(masks)),
            probabilities=_array(probabilities),
            std=_array(item["std"])[0],
            numbers={name: float(item[name]) for name in NUMBERS},
            of_each=[dict(zip(OF_EACH, values, strict=True)) for values in zip(*each, strict=True)],
        )

    def _structures(self, case: "_Case") -> dict[str, Any]:
        """What the mask is of: one, or measures of each of several."""
        return {"structure": self.structure} if case.names is None else {"structures": _each_structure(case)}

    def _written_doubt(self, case: "_Case") -> list[Path]:
        """The map of standard deviations, and the preview."""
        shown, _ = self.reader.get_data([self.batch.files_of(case.source)[self.modality]])
        preview = write_preview(
            shown,
            case.largest,
            case.std,
            self.folder / f"{stem(case.source)}_preview.png",
            f"{stem(case.source)}   triage {case.numbers['triage']:.3f} (0: the samples agree)",
            None if case.names is None else dict(zip(case.names, case.masks, strict=True)),
            case.affine,
        )
        return [write_map(case.std, case.source, case.affine, self.folder, "std", white=STD_WHITE), preview]


class _Case(NamedTuple):
    """What was inferred for one image."""

    source: str  # path of the image
    affine: np.ndarray  # (4, 4)
    names: tuple[str, ...] | None  # of the structures; None: masks have one channel, which needs no name
    masks: np.ndarray  # (S, ...)
    labels: np.ndarray | None  # (...) label map, of several structures
    probabilities: np.ndarray  # (S, ...)
    std: np.ndarray  # (...)
    numbers: dict[str, float]  # of `UncertaintyEvaluator`
    of_each: list[dict[str, float]]  # the same of each structure, without `triage`

    @property
    def largest(self) -> np.ndarray:
        """Of the structures' probabilities: (...)."""
        return self.probabilities.max(axis=0)


def _written_masks(case: _Case, folder: Path) -> list[Path]:
    """Mask and probability; of several structures a label map, and a probability each."""
    where = (case.source, case.affine, folder)
    if case.names is None or case.labels is None:
        return [write_mask(case.masks[0], *where), write_map(case.probabilities[0], *where, "probability")]
    own = zip(case.names, case.probabilities, strict=True)
    return [write_label_map(case.labels, *where), *(write_map(one, *where, f"probability_{name}") for name, one in own)]


def _whole(case: _Case) -> dict[str, Any]:
    """Measures of all structures together."""
    return _measures(case.masks.max(axis=0), case.largest, case.numbers, case)


def _each_structure(case: _Case) -> dict[str, dict[str, Any]]:
    """Measures of each of several."""
    own = enumerate(zip(case.names or (), case.masks, case.probabilities, case.of_each, strict=True), start=1)
    return {
        name: {"number": number, **numbers, **_measures(mask, probability, numbers, case)}
        for number, (name, mask, probability, numbers) in own
    }


def _measures(mask: np.ndarray, probability: np.ndarray, numbers: Mapping[str, float], case: _Case) -> dict[str, Any]:
    """Size of the foreground, in pixels and, where the spacing is known, in mm: of the mask, and of the samples."""
    pixels = int(mask.sum())
    measures: dict[str, Any] = {
        "pixels": pixels,
        "fraction": pixels / mask.size,
        "probability_max": float(probability.max()),
    }
    if not is_picture(case.source) and is_measured(case.source):
        voxel = float(abs(np.linalg.det(case.affine[:3, :3])))
        measures["volume_mm3"] = pixels * voxel
        measures |= {f"volume_{name}_mm3": numbers[f"area_{name}"] * mask.size * voxel for name in ("mean", "std")}
    if pixels:
        measures["centroid_pixel"] = [round(float(axis.mean()), 2) for axis in np.nonzero(mask)]
    return measures


def facts_of_run(
    engine: Engine, config: Any, bundle: Mapping[str, str] | None = None, weights: str = ""
) -> dict[str, Any]:
    """What every report says first.

    Args:
        engine:  an evaluator with an inferer.
        config:  flat, of `fingerprint`.
        bundle:  of `bundle_of`; None: not known.
        weights: their sha256; empty: not known.
    """
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "bundle": bundle,
        "weights": weights or None,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "device": str(engine.state.device),
        "sampling": sampling_settings(engine),
        "config": config,
    }


def sampling_settings(engine: Engine) -> dict[str, Any]:
    """What decides the samples of an evaluator, for reports."""
    inferer: Any = engine.inferer
    return inferer.settings


def _array(tensor: Tensor) -> np.ndarray:
    """On the CPU, without MONAI's meta data."""
    return np.asarray(without_meta(tensor).detach().cpu())
