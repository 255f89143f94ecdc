"""Writes an evaluation's scores: one line per case, and a summary that says how they were made."""

import csv
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite import distributed as idist
from ignite.engine import Engine, Events

from ..data.splits import natural
from ..files import write_text_atomically
from .resolved_config import fingerprint, resolved_config
from .save_results import sampling_settings

logger = logging.getLogger(__name__)

POLICY = (
    "mask = fused probability > 0.5, at the image's own size; one score per image; mean over images; empty label and "
    "empty mask count 1, only one of them empty counts 0; dice_lesion: mean over images whose label is not empty"
)


class SaveScores:
    """`cases.csv` (image, scores, pixels of label and mask, triage) and `scores.json` (means, counts, settings).

    Args:
        output_dir: where they go.
    """

    def __init__(self, output_dir: str) -> None:
        self.folder = Path(output_dir)
        self.config = fingerprint(resolved_config())
        self.cases: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Collect after every batch; write when the metrics are computed."""
        engine.add_event_handler(Events.STARTED, lambda engine: self.cases.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.save)

    def collect(self, engine: Engine) -> None:
        """What is known of each image of a batch."""
        outputs: Any = engine.state.output
        sources: Any = engine.state.batch
        for item, source in zip(outputs, sources, strict=True):
            label, mask = (np.asarray(item[key].cpu()) for key in ("label", "mask"))  # (K, ...)
            case = {"image": item["image"].meta["filename_or_obj"], "patient": source.get("patient", "")}
            case |= {"label_pixels": int(label.sum()), "mask_pixels": int(mask.sum()), "triage": float(item["triage"])}
            self.cases.append(case)

    def save(self, engine: Engine) -> None:
        """The files, by the first rank; details of metrics are gathered over ranks already, in their order."""
        gathered: Any = idist.all_gather(self.cases) if idist.get_world_size() > 1 else [self.cases]
        if idist.get_rank() > 0:
            return
        cases = [case for part in gathered for case in part]
        for name, values in engine.state.metric_details.items():
            for case, value in zip(cases, values.reshape(len(cases), -1)[:, 0].tolist(), strict=True):
                case[name] = value
        cases.sort(key=lambda case: natural(case["image"]))  # the same however many ranks there are
        means = {name: float(value) for name, value in engine.state.metrics.items()}
        counts = {"images": len(cases), "with_lesion": sum(case["label_pixels"] > 0 for case in cases)}
        summary = {
            "means": means,
            "counts": counts,
            "policy": POLICY,
            "sampling": sampling_settings(engine),
            "config": self.config,
        }
        write_text_atomically(_table(cases), self.folder / "cases.csv")
        write_text_atomically(json.dumps(summary, indent=2), self.folder / "scores.json")
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        logger.info(f"{counts['images']} images, {counts['with_lesion']} with a lesion: {shown} -> {self.folder}")


def _table(cases: list[Mapping[str, Any]]) -> str:
    """CSV, the columns of the first case."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(cases[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cases)
    return text.getvalue()
