"""How much do generated tiles help? Real tiles plus a growing part of a pool, several runs each (DiffusionDCI, IV-D).

Every row is a training of the bundle by its own commands, tested on real tiles alone. All have as many steps: an epoch
draws as many tiles as there are real ones. In a run the tiles of a smaller part are among those of a larger one.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from ..data.datalist import datalist, load_whole, write_datalist
from ..data.item_paths import name_of
from ..data.splits import KEYS
from ..explain.ratio_figure import mean_and_deviation, write_ratio_figure
from ..files import check_writable, write_text_atomically
from ..metrics.score_files import csv_text
from ..metrics.table import markdown, number
from .ablation import Ablation, file_name

logger = logging.getLogger(__name__)

SCORES = {  # column -> part of a result's classes, score
    "dice": ("means", "dice"),
    "iou": ("means", "iou"),
    "pooled_dice_with_background": ("pooled", "dice_with_background"),
    "pooled_iou_with_background": ("pooled", "iou_with_background"),
    "accuracy": ("pooled", "accuracy"),
}


class RatioStudy:
    """Writes `ratio_study.csv` (a row per training), `ratio_study.md` (per ratio) and `ratio_study.png`.

    The same call goes on where an interrupted one was.

    Args:
        bundle_root: of the bundle.
        dataset_dir: real tiles; their validation and testing sections stay as they are.
        pool:        generated tiles, of whose datalist the training section is taken.
        output_dir:  folder of the trainings and of the results.
        ratios:      parts of the pool in percent.
        runs:        how many trainings each ratio has; run r has seed r, which also draws the tiles.
        overlays:    configs of the bundle over train.yaml.
        settings:    settings of train.yaml for all.
        section:     of the real tiles that is scored.
        layout:      of the real tiles.

    Raises:
        ValueError: where a ratio or the number of runs is out of range, a tile of the pool names no patient, or one of
            the validation or test tiles, colours are to be normalised, the output holds a study of other tiles, or as
            `Ablation`.
    """

    def __init__(
        self,
        bundle_root: str,
        dataset_dir: str,
        pool: str,
        output_dir: str,
        ratios: Sequence[float] = (0, 25, 50, 75, 100),
        runs: int = 3,
        overlays: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        section: str = "testing",
        layout: str = "folder",
    ) -> None:
        if not ratios or any(not 0 <= ratio <= 100 for ratio in ratios) or runs < 1:
            raise ValueError(f"ratios are {list(ratios)} and runs {runs}; expected 0 to 100 percent, and at least 1.")
        check_writable(output_dir)
        self.folder, self.ratios, self.runs = Path(output_dir), list(ratios), runs
        self.real = {key: datalist(dataset_dir, key, layout, group_by=True) for key in KEYS}
        self.pool = datalist(pool, "training")
        self.counts = {ratio: round(len(self.pool) * ratio / 100) for ratio in ratios}
        configs = Path(bundle_root) / "configs"
        paths = [configs / f"{name}.yaml" for name in ("train", *overlays)]
        train = {**ConfigParser.load_config_files([str(path) for path in paths]), **(settings or {})}
        self._check(bool(train["normalise_colours"]))
        rows = {title(ratio, run): self._row(ratio, run) for run in range(runs) for ratio in ratios}
        self.ablation = Ablation(bundle_root, dataset_dir, output_dir, rows, overlays, settings, section)

    def run(self) -> str:
        """The table in Markdown, as `ratio_study.md` has it."""
        self.ablation.run()
        rows = [self._scores(ratio, run) for ratio in self.ratios for run in range(self.runs)]
        write_text_atomically(csv_text(rows), self.folder / "ratio_study.csv")
        write_ratio_figure(rows, self.folder / "ratio_study.png")
        table = ratio_table(rows)
        write_text_atomically(table + "\n", self.folder / "ratio_study.md")
        logger.info(f"{len(rows)} trainings -> {self.folder}")
        return table

    def _check(self, normalised: bool) -> None:
        if normalised:
            found = "normalise_colours is true, but generated tiles have no slide"
            raise ValueError(f"{found}: set it to false, for tiles of noise2mask.data.normalised_tiles.")
        known = all("patient" in item for items in self.real.values() for item in items)
        nameless = [name_of(item) for item in self.pool if "patient" not in item] if known else []
        if nameless:
            found = f"{nameless[0]} names no patient, so that it may be made of a test tile"
            raise ValueError(f"{found}: generate for a data set of tiles, whose datalist.json names them.")

    def _row(self, ratio: float, run: int) -> dict[str, Any]:
        """What sets a training apart: its tiles and its seed; an epoch has as many of them as there are real ones."""
        path = self.folder / "data" / f"{file_name(title(ratio, run))}.json"
        order = torch.randperm(len(self.pool), generator=torch.Generator().manual_seed(run)).tolist()
        drawn = [self.pool[place] for place in sorted(order[: self.counts[ratio]])]
        mixed = {**self.real, "training": _alike([*self.real["training"], *drawn])}
        self._write(mixed, path)
        return {"dataset_dir": str(path.resolve()), "seed": run, "epoch_tiles": len(self.real["training"])}

    def _write(self, mixed: dict[str, Any], path: Path) -> None:
        """The datalist; one that is there must be the same."""
        new = write_datalist(mixed, path.with_name(f".{path.name}"))
        if path.is_file() and path.read_bytes() != new.read_bytes():
            new.unlink()
            raise ValueError(f"{path} lists other tiles than this call: give another output_dir.")
        new.replace(path)
        load_whole(path)  # refuses a patient of whom there are tiles in two sections

    def _scores(self, ratio: float, run: int) -> dict[str, Any]:
        """A row of the CSV."""
        kept = json.loads((self.folder / f"{file_name(title(ratio, run))}.json").read_text(encoding="utf-8"))
        real, added = len(self.real["training"]), self.counts[ratio]
        row = {"ratio": ratio, "run": run, "real_tiles": real, "generated_tiles": added}
        return row | {name: kept["classes"][part][score] for name, (part, score) in SCORES.items()}


def _alike(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items with what all of them have: those of one batch must hold the same, and generated tiles have no place."""
    shared = set.intersection(*map(set, items))
    return [{name: value for name, value in item.items() if name in shared} for item in items]


def title(ratio: float, run: int) -> str:
    """Of a row: "25 %, run 0"."""
    return f"{ratio} %, run {run}"


def ratio_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mean and standard deviation over the runs of each ratio; of one run the number alone."""
    head = ["part of the pool", "generated tiles", "runs", *(name.replace("_", " ") for name in SCORES)]
    body = []
    for ratio in dict.fromkeys(row["ratio"] for row in rows):
        own = [row for row in rows if row["ratio"] == ratio]
        cells = [_shown(*mean_and_deviation(own, name)) for name in SCORES]
        body.append([f"{ratio} %", str(own[0]["generated_tiles"]), str(len(own)), *cells])
    return markdown(head, body)


def _shown(mean: float, deviation: float | None) -> str:
    return number(mean) if deviation is None else f"{number(mean)} ± {number(deviation)}"
