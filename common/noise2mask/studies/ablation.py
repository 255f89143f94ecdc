"""An ablation: the same training with one switch after the other, each row trained, scored, and put into one table.

Every row is a run of the bundle by its own commands, which are printed; what an interrupted ablation has done is not
done again, and a training that was interrupted goes on.
"""

import json
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bundles import run_arguments, settings_file
from ..data.splits import KEYS
from ..digest import sha256
from ..explain.card import kept, score_table, written
from ..files import check_writable, write_text_atomically
from ..handlers.checkpoint import LAST, finished
from ..metrics.score_files import SCORES
from ..settings import check_settings

logger = logging.getLogger(__name__)

# Settings of a training that its scores need too
OF_DATA = ("dataset_dir", "layout", "split", "foreground", "background", "ignore")
SAMPLED_WITH = "sampled_with.json"  # in a folder of scores: the sampling's settings
TRAINED_WITH = "trained_with.json"  # in a row's folder: its data, overlays and settings


class Ablation:
    """Trains and scores every row, and writes `ablation.md` and a JSON file per row that a model card takes.

    Args:
        bundle_root: of the bundle.
        dataset_dir: the data set, of all rows that do not set one of their own.
        output_dir:  folder of the rows' runs and of the table.
        rows:        title -> settings of train.yaml that make the row, such as network_def::ff_parser.
        overlays:    configs of the bundle over train.yaml, such as data/ddti and presets/size_64.
        settings:    settings of train.yaml for all rows, such as epochs.
        section:     of the data that is scored: validation, testing or training.
        samplings:   what is added to a row's title -> settings of inference.yaml that it is scored with; None: once,
                     by the default.

    Raises:
        ValueError: where there is no row, two titles make one folder, a config, a setting or the section does not
            exist, the folder can not be written to, or (`run`) holds a row of other data or settings.
    """

    def __init__(
        self,
        bundle_root: str,
        dataset_dir: str,
        output_dir: str,
        rows: Mapping[str, Mapping[str, Any]],
        overlays: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        section: str = "validation",
        samplings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        check_writable(output_dir)
        if not rows:
            raise ValueError("The ablation has no rows: give a title with its settings.")
        if len({file_name(title) for title in rows}) < len(rows):
            raise ValueError(f"The titles {', '.join(rows)} make fewer folders than rows: give them other words.")
        if section not in KEYS:
            raise ValueError(f"The section is {section!r}, expected one of {', '.join(KEYS)}: change section.")
        self.bundle, self.data, self.folder = Path(bundle_root), dataset_dir, Path(output_dir)
        self.rows = {title: {**(settings or {}), **own} for title, own in rows.items()}
        self.section = section
        self.samplings = samplings or {"": {}}
        self.overlays = [self.bundle / "configs" / f"{name}.yaml" for name in overlays]
        missing = [str(path) for path in self.overlays if not path.is_file()]
        if missing:
            raise ValueError(f"{', '.join(missing)} does not exist: correct the overlays.")
        for own in self.rows.values():
            check_settings(own, [self.bundle / "configs" / "train.yaml", *self.overlays])
        for sampling in self.samplings.values():
            check_settings(sampling, [self.bundle / "configs" / "inference.yaml"])

    def run(self) -> str:
        """The table in Markdown, as `ablation.md` has it."""
        for title in self.rows:
            self._check_trained_with(title)
        results = [result for title in self.rows for result in self._row(title)]
        table = f"{score_table(results)}\n\nScored: {self.section}. Policy: {results[0]['policy']}.\n"
        write_text_atomically(table, self.folder / "ablation.md")
        return table

    def _row(self, title: str) -> list[dict[str, Any]]:
        """Train, unless it is done, and score in every way."""
        folder = self.folder / file_name(title)
        if not finished(folder):
            write_text_atomically(json.dumps(self._made_of(title), indent=1) + "\n", folder / TRAINED_WITH)
            self._bundle("training", ["train"], self.overlays, folder, self.rows[title])
        return [self._scored(title, name, settings) for name, settings in self.samplings.items()]

    def _scored(self, title: str, sampling: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Score a row, unless it is done; keep what a card shows."""
        folder = self.folder / file_name(title)
        weights, scores = folder / "model.pt", folder / file_name(f"{self.section} {sampling}")
        sampled = scores / SAMPLED_WITH
        before = json.loads(sampled.read_text(encoding="utf-8")) if sampled.is_file() else {}
        if not _are_of(scores / SCORES, weights) or before != settings:
            data = [path for path in self.overlays if path.parent.name == "data"]
            overlays = [*data, settings_file(weights)]
            of_data = {name: value for name, value in self.rows[title].items() if name in OF_DATA}
            more = {
                "model_file": weights,
                "section": self.section,
                "progress": False,
                "case_files": False,
                **of_data,
                **settings,
            }
            self._bundle("evaluating", ["inference", "evaluate"], overlays, scores, more)
            write_text_atomically(json.dumps(dict(settings)) + "\n", sampled)
        name = ", ".join(filter(None, (title, sampling)))
        result = kept(scores / SCORES, name)
        write_text_atomically(written(result), self.folder / f"{file_name(name)}.json")
        return result

    def _made_of(self, title: str) -> dict[str, Any]:
        """What a row's folder keeps, as JSON has it: data, overlays, settings, and the files that those name."""
        overlays = [str(path.relative_to(self.bundle / "configs").with_suffix("")) for path in self.overlays]
        settings = self.rows[title]
        data = str(Path(settings.get("dataset_dir", self.data)).resolve())
        files = {name: sha256(value) for name, value in settings.items() if str(value) and Path(str(value)).is_file()}
        own = {"data": data, "overlays": overlays, "settings": settings} | ({"files": files} if files else {})
        made: dict[str, Any] = json.loads(json.dumps(own, default=str))
        return made

    def _check_trained_with(self, title: str) -> None:
        """A folder in which a training has begun must have begun with the same, lest its row be taken for this one."""
        folder, made = self.folder / file_name(title), self._made_of(title)
        path = folder / TRAINED_WITH
        if not path.is_file() or not (folder / LAST).is_file():
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        others = [name for name in made if found.get(name) != made[name]]
        if others:
            raise ValueError(f"{path} has other {', '.join(others)} than this call: give another output_dir.")

    def _bundle(
        self, run_id: str, names: Sequence[str], overlays: Sequence[Path], output: Path, settings: Mapping[str, Any]
    ) -> None:
        """One `python -m monai.bundle run`, printed before it runs."""
        configs = [*(self.bundle / "configs" / f"{name}.yaml" for name in names), *overlays]
        given = {"dataset_dir": self.data, "output_dir": output, **settings}
        command = run_arguments(self.bundle, run_id, configs, given)
        logger.info(f"python {shlex.join(command)}")
        if subprocess.run([sys.executable, *command]).returncode:
            raise ValueError(f"{output}: the run stopped, its last lines say why. The same command goes on from there.")


def _are_of(scores: Path, weights: Path) -> bool:
    """Whether a scores.json is there, and of these weights: they may have been trained anew since."""
    return scores.is_file() and json.loads(scores.read_text(encoding="utf-8"))["weights"] == sha256(weights)


def file_name(title: str) -> str:
    """Of a row: "tanh gate, FF-Parser" -> "tanh_gate_ff_parser"."""
    return re.sub(r"\W+", "_", title.lower()).strip("_")
