"""Writes what was generated as a data set: images, masks, manifest.csv and datalist.json, ready to be training data.

Legend: N images of a mask, C channels, K classes, H W size.
"""

import csv
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from PIL import Image

from ..data.datalist import write_datalist
from ..data.layouts import FILE
from ..data.results import REPORT
from ..data.splits import IN_MANIFESTS, KEYS
from ..data.structures import Structures, values_of
from ..diffusion.image_inferer import seed_of
from ..explain.generated import write_generated
from ..files import atomic_file, write_text_atomically
from ..meta import without_meta
from ..ranks import gathered
from .batch import MADE_FROM
from .generation_batch import KINDS, GenerationBatch, mask_of
from .save_results import facts_of_run, sampling_settings

logger = logging.getLogger(__name__)

COLUMNS = ("image", "slide", "patient", "split", "mask", "reference", "sample", "seed")
SHOWN = 8  # masks in the picture


class SaveGenerated:
    """Per image `images/<mask>_<n>.png` and `masks/<mask>_<n>.png`; per mask a record; at the end the data set.

    Masks hold the first value of each of `structures`, and of the background, in the size of the images: the config
    that made them reads them again.
    `generated.png` shows the first masks beside reference, images and, where there is one, the real image.

    Args:
        batch:      the masks, those that an earlier run has finished included.
        structures: see `StructureMasksd`.
        background: all other values of the masks.
        section:    of the new data set that all images go to.

    Raises:
        ValueError: where the section has another name, or a class has no value that a picture of 8 bits can hold.
    """

    def __init__(
        self,
        batch: GenerationBatch,
        structures: Structures,
        background: Sequence[float] = (0,),
        section: str = "training",
    ) -> None:
        if section not in IN_MANIFESTS:
            raise ValueError(f"section is {section!r}, expected one of {', '.join(IN_MANIFESTS)}.")
        self.batch, self.section = batch, section
        self.values = _values(structures, background)
        self.items = {item["name"]: item for item in batch.items}
        self.records: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Write after every batch, and the data set at the end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Look at the clock; while images are made anew there is no data set."""
        self.records, self.started = [], time.perf_counter()
        if self.batch.unfinished and idist.get_rank() == 0:
            for name in ("manifest.csv", FILE, REPORT):
                (self.batch.folder / name).unlink(missing_ok=True)

    def save(self, engine: Engine) -> None:
        """The images of one batch."""
        output: Mapping[str, Any] = engine.state.output  # type: ignore[assignment]
        seed = sampling_settings(engine)["seed"]
        for name, mask, images in zip(output["name"], output["label"], output["pred"], strict=True):
            item = self.items[name]
            self.batch.clear(name)  # first: other images are being overwritten, and no longer what its record says
            files = [f"{name}_{n}.png" for n in range(len(images))]
            for path, image in zip(files, images, strict=True):
                _write(_colours(image), self.batch.folder / "images" / path)
                _write(self.values[without_meta(mask).argmax(0).cpu().numpy()], self.batch.folder / "masks" / path)
            record = {
                **self.batch.known(item),
                "seed": seed_of(seed, name),
                "files": files,
                MADE_FROM: self.batch.made_from(item),
            }
            write_text_atomically(json.dumps(record, indent=2), self.batch.file(name))  # last: it is finished
            self.records.append(record)
        logger.info(f"written: {', '.join(output['name'])}")

    def finish(self, engine: Engine) -> None:
        """manifest.csv, datalist.json, report.json and the picture."""
        made = gathered(self.records)
        if idist.get_rank() > 0:
            return
        records = sorted([*self.batch.records, *made], key=lambda record: record["files"][0])
        write_text_atomically(self._manifest(records), self.batch.folder / "manifest.csv")
        write_datalist(self._datalist(records), self.batch.folder / FILE)
        self._report(engine, len(made), sum(len(record["files"]) for record in records))
        rows = [self._row(record) for record in records[:SHOWN]]
        write_generated(rows, self.values, self.batch.folder / "generated.png")

    def _datalist(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        """All images in the one section; the layout "folder" would take some of them to validate."""
        items = []
        for record in records:
            known = {key: record[key] for key in ("patient", "slide") if record[key]}
            for file in record["files"]:
                paths = zip(("image", "label"), KINDS, strict=True)
                items.append({key: str(self.batch.folder.absolute() / kind / file) for key, kind in paths} | known)
        sections = {key: items if key == self.section else [] for key in KEYS}
        return {"layout": "folder", "split_by": "manifest", "group_by": "patient", **sections}

    def _manifest(self, records: list[dict[str, Any]]) -> str:
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        for record in records:
            named = [Path(record[key]).name for key in ("mask", "reference")]
            start = [record["slide"], record["patient"], IN_MANIFESTS[self.section]]
            for n, file in enumerate(record["files"]):
                table.writerow([file, *start, *named, n, record["seed"] + n])
        return text.getvalue()

    def _row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Files of a row of the picture."""
        images = [self.batch.folder / "images" / file for file in record["files"]]
        first = record["files"][0]
        mask, real = self.batch.folder / "masks" / first, self.items[mask_of(first)].get("image")
        return {"mask": mask, "reference": record["reference"], "generated": images, "real": real}

    def _report(self, engine: Engine, made: int, images: int) -> None:
        seconds = time.perf_counter() - self.started
        report = {
            **facts_of_run(engine, self.batch.config, self.batch.bundle, self.batch.weights),
            "seconds": round(seconds, 3),
            "seconds_per_mask": round(seconds / max(1, made), 3),
            "masks": len(self.batch.items),
            "finished_earlier": len(self.batch.records),
            "images": images,
            "note": "Generated images: not of any patient, not for diagnosis.",
        }
        write_text_atomically(json.dumps(report, indent=2), self.batch.folder / REPORT)
        logger.info(f"{images} images, {len(self.batch.records)} masks finished earlier -> {self.batch.folder}")


def _values(structures: Structures, background: Sequence[float]) -> np.ndarray:
    """(K,) uint8: what a mask holds for each class, the background's first."""
    empty = next((value for value in (*background, 0) if value not in values_of(structures)), None)
    values = [empty, *(own[0] for own in structures.values())]
    if wrong := [value for value in values if value not in range(256)]:
        expected = "expected whole numbers from 0 to 255, as PNG has them"
        raise ValueError(f"masks would be written with the values {wrong}, {expected}: change structures.")
    return np.array(values, np.uint8)


def _colours(image: torch.Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] -> (H, W, C) or (H, W), uint8."""
    array = (without_meta(image).float().cpu().numpy() * 255).round().clip(0, 255).astype(np.uint8)
    return array.transpose(1, 2, 0) if len(array) == 3 else array[0]


def _write(array: np.ndarray, path: Path) -> None:
    with atomic_file(path) as file:
        Image.fromarray(np.ascontiguousarray(array)).save(file, "PNG")
