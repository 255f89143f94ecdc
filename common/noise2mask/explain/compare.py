"""Figure 9 of PGDiffSeg: masks of several bundles or checkpoints beside the label, what was hit, missed and false.

Legend: S size of the image's file; H W of what is shown, of a volume the slice with most of the label.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..bundles import find_bundle
from ..data.item_paths import paths_of
from ..data.reader import GreyReader, is_picture
from ..files import check_writable, write_text_atomically
from ..handlers.save_results import sampling_settings
from ..metrics.overlap import dice_of
from ..metrics.score_files import csv_text
from ..segmenter import Segmenter
from .case_file import UNLABELLED
from .colours import FALSE, HIT, MISSED, WRONG
from .heat import in_colours, numbers_in_colours
from .preview import picture_of, rows_of, side_words
from .seen import names_of, numbers_of
from .strip import write_strip

LEGEND, OTHER = "white hit, dark red missed, light blue false", ", yellow another structure"
SIDE = 2.4  # longest side of a picture in inches: 360 pixels


class CompareFigures:
    """Per case `compare_<name>.png`; for all `compare.csv`. A handler of an `UncertaintyEvaluator` with labels.

    Args:
        items:      those of the evaluator, with the paths of their `image`.
        reader:     of the images.
        output_dir: where the files go.
        title:      of the evaluator's own bundle.
        others:     what stands beside it: names or folders of bundles, or a bundle and its weights as BUNDLE=FILE; each
            sees the image files by its own preprocessing.
        sampling:   settings of all of them, such as `steps`; what is not given is each one's own.
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
        sampling: Mapping[str, Any] | None = None,
        structures: Mapping[str, Any] | None = None,
        exclusive: bool = False,
    ) -> None:
        self.names = names_of(items)
        self.files = dict(zip(self.names, (paths_of(item["image"]) for item in items), strict=True))
        self.reader, self.folder, self.title, self.exclusive = reader, Path(output_dir), title, exclusive
        segmenters = [_segmenter(name, sampling or {}) for name in others]
        self.others = dict(zip(titles_of(others, title), segmenters, strict=True))
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
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.draw)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def start(self, engine: Engine) -> None:
        """Forget an earlier run; what the evaluator itself samples with."""
        self.rows.clear()
        self.settings = sampling_settings(engine)

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
        rows = [self._row(name, title, mask, label) for title, mask in masks.items()]
        self.rows += rows
        image, meta = self.reader.get_data(files[:1])  # (W, H), (3, W, H) or (X, Y, Z)
        lesion, affine = (label > 0) & (label != UNLABELLED), meta.get("affine")
        shown = [rows_of(own, lesion, affine) for own in (label, *masks.values())]  # (H, W) each
        pictures = [in_colours(_scaled(picture_of(image, lesion, affine))), numbers_in_colours(shown[0])]
        pictures += [errors(mask, shown[0]) for mask in shown[1:]]
        titles = ["image", "label", *map(_heading, masks, rows)]
        legend = f"{LEGEND}{OTHER if len(self.structures) > 1 else ''}{side_words(label)}"
        write_strip([(name, pictures)], titles, self.folder / f"compare_{name}.png", legend, side=SIDE)

    def _row(self, name: str, title: str, mask: np.ndarray, label: np.ndarray) -> dict[str, Any]:
        """What is said of one mask (*S)."""
        settings = self.others[title].inferer.settings if title in self.others else self.settings
        how = {"steps": len(settings["timesteps"]), "samples": settings["samples"]}
        return {"case": name, "network": title.replace("\n", " "), **how, **scores_of(mask, label, self.structures)}


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


def _segmenter(name: str, sampling: Mapping[str, Any]) -> Segmenter:
    """Of BUNDLE or BUNDLE=FILE."""
    bundle, _, weights = name.partition("=")
    find_bundle(bundle)
    return Segmenter(bundle, weights or None, **sampling)


def titles_of(others: Sequence[str], own: str) -> list[str]:
    """What stands above their masks: the bundle and, of weights, as much of the path's end as tells them apart."""
    titles = [own]
    for name in others:
        bundle, _, weights = name.partition("=")
        parts = Path(weights).resolve().parts[1:] if weights else ()
        ends = ["/".join(parts[-k - 1 : -1]) for k in range(1, len(parts))] + ["/".join(parts)]
        found = [f"{bundle}\n{end}" for end in ends] if weights else [bundle]
        found += [f"{found[-1]} {number}" for number in range(2, len(others) + 3)]
        titles.append(next(title for title in found if title not in titles))
    return titles[1:]


def _heading(title: str, row: Mapping[str, Any]) -> str:
    dice = "mean Dice" if "other" in row else "Dice"
    return f"{title}\n{row['steps']} steps, {row['samples']} samples\n{dice} {row['dice']:.3f}"


def scores_of(mask: np.ndarray, label: np.ndarray, structures: Sequence[str]) -> dict[str, Any]:
    """Pixels hit, missed and false, and Dice; of several structures their mean, each, and pixels of another structure.

    Args:
        mask:       (*S) uint8, numbers of structures.
        label:      (*S) uint8, likewise; what is `UNLABELLED` counts nowhere.
        structures: names; fewer than two where there is one structure.
    """
    known = label != UNLABELLED
    found, true = (mask > 0) & known, (label > 0) & known
    pixels = {"hit": int((found & (mask == label)).sum()), "missed": int((true & ~found).sum())}
    pixels["false"] = int((found & ~true).sum())
    if len(structures) < 2:
        return pixels | {"dice": dice_of(found, true)}
    each = {f"dice_{name}": dice_of(found & (mask == k), true & (label == k)) for k, name in enumerate(structures, 1)}
    other = int((found & true & (mask != label)).sum())
    return pixels | {"other": other, "dice": fmean(each.values()), **each}
