"""Figures 1 and 13 of PGDiffSeg: the way from noise to mask, as a strip and as an animation.

Legend: T steps kept, H W size; a volume is shown by the slice with most of the mask.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps

from ..files import write_text_atomically
from ..metrics.overlap import dice_of
from ..metrics.score_files import csv_text
from ..spread import evenly
from .case_file import MOST_STEPS, UNLABELLED, CaseRecord, case_path, read_case, shown_number
from .heat import in_colours, numbers_in_colours
from .seen import names_of
from .strip import pixel_of, write_animation, write_strip

COLOURS = "viridis"  # of the paper: 0 dark purple, 1 yellow


class SamplingFigures:
    """Per case `sampling_<name>.png` and `.gif`, from `cases/<name>.npz`; for all `sampling.csv`.

    Args:
        items:      with `image`, whose cases have been kept.
        cases_dir:  output folder of their evaluation.
        output_dir: where the figures go.

    Raises:
        ValueError: by `run`, where a case is missing or has no steps.
    """

    def __init__(self, items: Sequence[Mapping[str, Any]], cases_dir: str, output_dir: str) -> None:
        self.names = list(names_of(items).values())
        self.cases, self.folder = Path(cases_dir), Path(output_dir)

    def run(self) -> list[dict[str, Any]]:
        """Draw, write; the rows of the table."""
        rows = []
        for name in self.names:
            record = shown_slice(read_case(case_path(self.cases, name)))
            if not len(record.timesteps):
                raise ValueError(f"{name}: this network goes no steps from noise to mask: there is none to show.")
            self._draw(name, record)
            shown = {"case": name, "slice": (record.facts["slices"] or [""])[0]}
            rows += [{**shown, **row} for row in _numbers(record)]
        write_text_atomically(csv_text(rows), self.folder / "sampling.csv")
        return rows

    def _draw(self, name: str, record: CaseRecord) -> None:
        some = evenly(len(record.timesteps), MOST_STEPS)
        noisy, clean = ([own[k] / 255 for k in some] for own in (record.noisy, record.clean))
        masks = {"mask of\nall samples": record.mask} | ({} if record.label is None else {"label": record.label})
        titles = [f"t = {record.timesteps[k]}" for k in some] + ["image", *masks]
        clean += [in_colours(picture(record)), *map(numbers_in_colours, masks.values())]
        rows = [("mask estimated", clean), ("noisy mask", noisy)]
        title = f"{name}: from noise to mask, first sample{where(record.facts)}"
        write_strip(rows, titles, self.folder / f"sampling_{name}.png", title, pixel_of(record.facts["spacing"]))
        frames = [_frame(*parts) for parts in zip(record.noisy, record.clean, strict=True)]
        captions = [f"noisy, estimated: t = {t}" for t in record.timesteps]
        write_animation(frames, captions, self.folder / f"sampling_{name}.gif")


def shown_slice(record: CaseRecord) -> CaseRecord:
    """The record of a picture; of a volume that of one slice, whose number is then all of `slices`."""
    if record.mask.ndim == 2:
        return record
    z = shown_number(record)
    arrays: dict[str, Any] = {
        name: array[..., z] for name, array in record._asdict().items()
        if isinstance(array, np.ndarray) and array.ndim > 2
    }  # fmt: skip
    return record._replace(**arrays, facts={**record.facts, "slices": [record.facts["slices"][z]]})


def where(facts: Mapping[str, Any]) -> str:
    """Which slice of a volume is shown, and which side is which, for the title of a figure."""
    if facts.get("slices") is None:
        return ""
    axis, codes = "xyz"[facts.get("axis", 2)], facts.get("axcodes", "")
    side = f", right of the picture is {codes[1]}, its bottom {codes[0]}" if codes else ""
    return f", slice {facts['slices'][0]} of the file's {axis} axis{side}"


def _numbers(record: CaseRecord) -> list[dict[str, Any]]:
    """Of each step how much of the picture is estimated to be of a structure, and how alike it is to the end."""
    hard = record.clean > 127  # (T, H, W)
    rows = []
    for timestep, mask in zip(record.timesteps, hard, strict=True):
        row = {"timestep": int(timestep), "area": float(mask.mean()), "dice_with_the_last": dice_of(mask, hard[-1])}
        if record.label is not None:
            known = record.label != UNLABELLED
            row["dice_with_the_label"] = dice_of(mask & known, (record.label > 0) & known)
        rows.append(row)
    return rows


def picture(record: CaseRecord) -> np.ndarray:
    """The image of a slice (C, H, W) uint8 -> (H, W) or (H, W, 3) in [0, 1]."""
    image = record.image / 255
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def _frame(noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Both (H, W) uint8 side by side -> (H, 2 W, 3) uint8."""
    both = np.concatenate([noisy, clean], axis=1) / 255
    return in_colours(colormaps[COLOURS](both)[..., :3])
