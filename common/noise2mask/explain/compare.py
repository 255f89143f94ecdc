"""Figure 9 of PGDiffSeg: masks of several bundles or checkpoints beside the label, what was hit, missed and false.

Legend: S size of the image's file; H W of what is shown, of a volume the slice with most of the label.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from ..bundles import find_bundle
from ..data.item_paths import paths_of
from ..data.reader import GreyReader, is_picture
from ..files import check_writable, write_text_atomically
from ..metrics.overlap import count, overlap
from ..metrics.score_files import csv_text
from ..segmenter import Segmenter
from .case_file import UNLABELLED
from .heat import in_colours, numbers_in_colours
from .preview import picture_of, rows_of
from .seen import names_of, numbers_of
from .strip import write_strip

# Hit white and missed red as in the paper, false blue; their lightness tells them apart without colour vision too.
HIT, WRONG, FALSE, MISSED = (255, 255, 255), (240, 228, 66), (86, 180, 233), (170, 20, 20)
LEGEND = "white hit, dark red missed, light blue false, yellow another structure"


class CompareFigures:
    """Per case `compare_<name>.png`; for all `compare.csv`. A handler of an `UncertaintyEvaluator` with labels.

    Args:
        items:      those of the evaluator, with the paths of their `image`.
        reader:     of the images.
        output_dir: where the files go.
        title:      of the evaluator's own bundle.
        others:     what stands beside it: names or folders of bundles, or a bundle and its weights as BUNDLE=FILE; each
            sees the image files by its own preprocessing and settings.
        structures: names of the channels, of several; None: masks have one channel.
        exclusive:  channel 0 is the background.

    Raises:
        ValueError: where there is nothing to compare with, a bundle or its weights are unknown, structures are others
            than this bundle's, or the folder can not be written to.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        reader: GreyReader,
        output_dir: str,
        title: str,
        others: Sequence[str],
        structures: Mapping[str, Any] | None = None,
        exclusive: bool = False,
    ) -> None:
        self.names = names_of(items)
        self.files = dict(zip(self.names, (paths_of(item["image"]) for item in items), strict=True))
        self.reader, self.folder, self.title, self.exclusive = reader, Path(output_dir), title, exclusive
        self.others = {_title(name): _segmenter(name) for name in others}
        self.structures = tuple(structures or ())
        if not others:
            raise ValueError("There is nothing to compare with: give another bundle, or BUNDLE=model.pt.")
        for name, other in self.others.items():
            if other.structures != self.structures:
                found = f"{name} segments {', '.join(other.structures) or 'one structure'}"
                expected = ", ".join(self.structures) or "one structure"
                raise ValueError(f"{found}, expected {expected}: compare bundles of the same structures.")
        check_writable(self.folder)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Draw after every batch; write the table at the end."""
        engine.add_event_handler(Events.STARTED, lambda engine: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.draw)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def draw(self, engine: Engine) -> None:
        """The pictures of one batch."""
        outputs: Any = engine.state.output
        sources: Any = engine.state.batch
        for item, source in zip(outputs, sources, strict=True):
            image = item["image"].meta["filename_or_obj"]
            if "label" not in source:
                raise ValueError(f"{image} has no label; expected one to compare with: give a data set with masks.")
            self._draw(image, item, numbers_of(source["label"], self.exclusive).cpu().numpy())

    def write(self, engine: Engine) -> None:
        """`compare.csv`."""
        write_text_atomically(csv_text(self.rows), self.folder / "compare.csv")

    def _draw(self, image_file: str, item: Mapping[str, Any], label: np.ndarray) -> None:
        """One case, label (*S) in the axes of the file."""
        name, files = self.names[image_file], self.files[image_file]
        masks = {self.title: numbers_of(item["mask"], self.exclusive).cpu().numpy()}
        for other, segmenter in self.others.items():
            mask = np.asarray(segmenter(files).mask, np.uint8)
            masks[other] = mask.T if is_picture(files[0]) else mask
        rows = [
            {"case": name, "network": title.replace("\n", " "), **_counts(mask, label)} for title, mask in masks.items()
        ]
        self.rows += rows
        image, _ = self.reader.get_data(files[:1])  # (W, H), (3, W, H) or (X, Y, Z)
        lesion = (label > 0) & (label != UNLABELLED)
        titles = [
            "image",
            "label",
            *(f"{title}\nDice {row['dice']:.3f}" for title, row in zip(masks, rows, strict=True)),
        ]
        pictures = [in_colours(_scaled(picture_of(image, lesion))), numbers_in_colours(rows_of(label, lesion))]
        pictures += [errors(rows_of(mask, lesion), rows_of(label, lesion)) for mask in masks.values()]
        write_strip([(name, pictures)], titles, self.folder / f"compare_{name}.png", LEGEND)


def errors(mask: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Numbers of structures (H, W) twice -> (H, W, 3) uint8; what is `UNLABELLED` counts nowhere."""
    known = label != UNLABELLED
    found, true = (mask > 0) & known, (label > 0) & known
    picture = np.zeros((*label.shape, 3), np.uint8)
    cases = ((found & ~true, FALSE), (true & ~found, MISSED), (found & true, WRONG), (found & (mask == label), HIT))
    for where, colour in cases:
        picture[where & known] = colour
    return picture


def _scaled(picture: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) -> the same from 0, its least value, to 1."""
    least, most = float(picture.min()), float(picture.max())
    return (picture - least) / max(most - least, 1e-6)


def _segmenter(name: str) -> Segmenter:
    """Of BUNDLE or BUNDLE=FILE."""
    bundle, _, weights = name.partition("=")
    find_bundle(bundle)
    return Segmenter(bundle, weights or None)


def _title(name: str) -> str:
    """Above its masks: of weights the name of their folder."""
    bundle, _, weights = name.partition("=")
    return f"{bundle}\n{Path(weights).resolve().parent.name}" if weights else bundle


def _counts(mask: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Pixels hit, missed and false, of any structure, and their Dice; and those of another structure."""
    known = label != UNLABELLED
    found, true = (mask > 0) & known, (label > 0) & known
    counts = count(torch.from_numpy(found), torch.from_numpy(true))
    other = int((found & true & (mask != label)).sum())
    return {"hit": counts.tp, "missed": counts.fn, "false": counts.fp, "other": other, "dice": overlap(counts)["dice"]}
