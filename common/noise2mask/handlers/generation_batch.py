"""The masks of one call of generation, and which of them an earlier call has finished."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..data.item_paths import paths_of
from ..data.problems import refuse
from ..data.slide_colours import read_colours
from ..data.splits import patient_of
from ..digest import sha256
from ..files import check_writable
from ..ranks import from_first
from .batch import MADE_FROM, recipe
from .model_settings import tell_other_settings
from .resolved_config import bundle_of, fingerprint, resolved_config

RECORDS = "records"  # folder of a JSON file per mask
KINDS = ("images", "masks")  # folders of what is made


class GenerationBatch:
    """Masks to make images for, into one folder.

    A mask is finished when its record says that its images were made from the same mask, reference, weights and config,
    and they are all there.

    Args:
        items:         of `generation_items`.
        output_dir:    where images go.
        model_file:    the weights.
        slide_colours: file of the colours that references are moved to; None: they stay as they are.

    Raises:
        ValueError: where the folder can not be written to, holds the masks or the references, or what was made for
            other masks, which would be half of the new data set; where references have no slide with colours.
    """

    def __init__(
        self, items: Sequence[Mapping[str, Any]], output_dir: str, model_file: str, slide_colours: str | None = None
    ) -> None:
        self.folder = Path(output_dir)
        self._check_apart(items)
        check_writable(self.folder)
        self.items = [dict(item) for item in items]
        self.left = self._left({item["name"] for item in items})
        config = resolved_config()
        self.config, self.bundle = fingerprint(config) | {"version": __version__}, bundle_of(config)
        tell_other_settings(config, model_file)
        self.recipe, self.weights = recipe(self.config), sha256(model_file)
        self.colours = {} if slide_colours is None else {"colours": colours_digest(slide_colours, self.items)}
        records = from_first([self.finished(item) for item in self.items])
        self.records = [record for record in records if record is not None]
        self.unfinished = [item for item, record in zip(self.items, records, strict=True) if record is None]

    def _check_apart(self, items: Sequence[Mapping[str, Any]]) -> None:
        for path in (path for item in items for path in (*paths_of(item["label"]), item["reference"])):
            if Path(path).resolve().is_relative_to(self.folder.resolve()):
                raise ValueError(
                    f"{path} stands in the output folder and might be overwritten: give another output_dir."
                )

    def _left(self, names: set[str]) -> dict[str, list[Path]]:
        """By mask, what an earlier call has made of it."""
        left, foreign = defaultdict(list), []
        for path in self._made():
            left[mask_of(path.name)].append(path)
            foreign += [] if mask_of(path.name) in names else [f"{path} is of none of the masks of this call."]
        refuse(f"{self.folder} holds other images: take them away, or give another output_dir", foreign)
        return left

    def _made(self) -> Iterator[Path]:
        folders = (self.folder / kind for kind in KINDS)
        files = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
        return (path for path in files if not path.name.startswith("."))

    def clear(self, name: str) -> None:
        """Take away what an earlier call has made of a mask, its record first: it may have been more images."""
        for path in (self.file(name), *self.left.pop(name, ())):
            path.unlink(missing_ok=True)

    def file(self, name: str) -> Path:
        """The record of a mask."""
        return self.folder / RECORDS / f"{name}.json"

    @staticmethod
    def known(item: Mapping[str, Any]) -> dict[str, str]:
        """What a record says of a mask, in the paths of this call."""
        patient = patient_of(item)  # of a data set without patients a mask is its own
        whose = {"patient": item["name"] if patient is None else str(patient), "slide": str(item.get("slide", ""))}
        return {"mask": paths_of(item["label"])[0], "reference": item["reference"], **whose}

    def made_from(self, item: Mapping[str, Any]) -> dict[str, str]:
        """What decides the images of a mask, as digests."""
        masks = " ".join(map(sha256, paths_of(item["label"])))
        made = {"mask": masks, "reference": sha256(item["reference"]), "weights": self.weights, "config": self.recipe}
        return made | self.colours

    def finished(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        """A mask's record, if it is finished."""
        try:
            record: dict[str, Any] = json.loads(self.file(item["name"]).read_text(encoding="utf-8"))
            there = all((self.folder / kind / name).is_file() for name in record["files"] for kind in KINDS)
            return record | self.known(item) if there and record[MADE_FROM] == self.made_from(item) else None
        except (OSError, ValueError, TypeError, KeyError):  # none, or damaged
            return None


def colours_digest(path: str, items: Sequence[Mapping[str, Any]]) -> str:
    """Of a file of slide colours, which must have those of all references."""
    remedy = "take tiles of slides that have them, or set normalise_colours to false"
    try:
        known, _ = read_colours(path)
    except ValueError as error:
        raise ValueError(f"{error} Or {remedy}.") from error
    left = {item["reference"]: item.get("slide") for item in items if str(item.get("slide")) not in known}
    refuse(
        f"References are to have the colours of their slides, which {path} lacks: {remedy}",
        [f"{name} {'names no slide' if slide is None else f'is of slide {slide}'}." for name, slide in left.items()],
    )
    return sha256(path)


def mask_of(file: str) -> str:
    """The name of the mask that an image was made for: its files are called <mask>_<n>.png."""
    return file.rsplit("_", 1)[0]
