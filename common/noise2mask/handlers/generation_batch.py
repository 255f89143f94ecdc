"""The masks of one call of generation, and which of them an earlier call has finished."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..data.item_paths import paths_of
from ..digest import sha256
from ..files import check_writable
from ..ranks import from_first
from .batch import MADE_FROM, recipe
from .resolved_config import fingerprint, resolved_config

RECORDS = "records"  # folder of a JSON file per mask


class GenerationBatch:
    """Masks to make images for, into one folder.

    A mask is finished when its record says that its images were made from the same mask, reference, weights and config,
    and they are all there.

    Args:
        items:      of `generation_items`.
        output_dir: where images go.
        model_file: the weights.

    Raises:
        ValueError: where the folder can not be written to, or holds the masks or the references.
    """

    def __init__(self, items: Sequence[Mapping[str, Any]], output_dir: str, model_file: str) -> None:
        self.folder = Path(output_dir)
        self._check_apart(items)
        check_writable(self.folder)
        self.items = [dict(item) for item in items]
        self.config = fingerprint(resolved_config()) | {"version": __version__}
        self.recipe, self.weights = recipe(self.config), sha256(model_file)
        records = from_first([self.finished(item) for item in self.items])
        self.records = [record for record in records if record is not None]
        self.unfinished = [item for item, record in zip(self.items, records, strict=True) if record is None]

    def _check_apart(self, items: Sequence[Mapping[str, Any]]) -> None:
        for path in (path for item in items for path in (*paths_of(item["label"]), item["reference"])):
            if Path(path).resolve().is_relative_to(self.folder.resolve()):
                raise ValueError(
                    f"{path} stands in the output folder and might be overwritten: give another output_dir."
                )

    def file(self, name: str) -> Path:
        """The record of a mask."""
        return self.folder / RECORDS / f"{name}.json"

    def made_from(self, item: Mapping[str, Any]) -> dict[str, str]:
        """What decides the images of a mask, as digests."""
        masks = " ".join(map(sha256, paths_of(item["label"])))
        return {"mask": masks, "reference": sha256(item["reference"]), "weights": self.weights, "config": self.recipe}

    def finished(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        """A mask's record, if it is finished."""
        try:
            record: dict[str, Any] = json.loads(self.file(item["name"]).read_text(encoding="utf-8"))
            there = all(
                (self.folder / kind / name).is_file() for name in record["files"] for kind in ("images", "masks")
            )
            return record if there and record[MADE_FROM] == self.made_from(item) else None
        except (OSError, ValueError, TypeError, KeyError):  # none, or damaged
            return None
