"""Trainings that a file names, a row each: bundle, data, configs and settings, checked before anything starts."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..bundles import run_arguments
from ..settings import check_settings, parsed

TIMED = "presets/nnunet_train"  # takes minutes and not epochs
MEASURED = "measured"  # the folder of all rows' measurements, so no row's name
KEYS = {"bundle", "dataset", "configs", "settings"}
OURS = {"epochs", "val_interval", "minutes", "dataset_dir", "output_dir"}  # settings that follow from the plan


class Training(NamedTuple):
    """One row of the file.

    bundle:   its root.
    dataset:  folder or datalist of the data.
    configs:  of the bundle over train.yaml, such as data/busi.
    settings: of train.yaml.
    """

    bundle: Path
    dataset: Path
    configs: Sequence[str]
    settings: Mapping[str, Any]

    @property
    def is_timed(self) -> bool:
        """Whether it takes minutes, as nnU-Net's does."""
        return TIMED in self.configs

    def files(self) -> list[Path]:
        """Its configs, train.yaml first."""
        return [self.bundle / "configs" / f"{name}.yaml" for name in ("train", *self.configs)]

    def setting(self, name: str) -> Any:
        """What a name at the top of its configs is set to; None where none has it."""
        found = None
        for path in self.files():
            found = yaml.safe_load(path.read_text(encoding="utf-8")).get(name, found)
        return self.settings.get(name, found)

    def command(self, output: Path, more: Mapping[str, Any]) -> list[str]:
        """`python -m monai.bundle run training`, with these settings over its own."""
        given = {"dataset_dir": self.dataset, "output_dir": output, **self.settings, **more}
        return [sys.executable, *run_arguments(self.bundle, "training", self.files(), given)]


def read_trainings(path: Path, data: Path, bundles: Path, only: Sequence[str] = ()) -> dict[str, Training]:
    """The rows of a YAML file: a name, and its bundle, dataset (in `data`), configs and settings.

    Raises:
        ValueError: where the file is no such mapping, a row lacks something or sets what the plan does, a name of
            `only` is not in it, a config or dataset is missing, or a setting is none of the configs'.
    """
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML ({error}): correct it.") from error
    if not isinstance(rows, dict) or not rows:
        raise ValueError(f"{path} is no mapping of names to {', '.join(sorted(KEYS))}: correct it.")
    unknown = sorted(set(only) - set(rows))
    if unknown:
        raise ValueError(f"{path} has no {', '.join(unknown)}, only {', '.join(map(str, rows))}: correct --only.")
    return {name: _training(path, name, rows[name], data, bundles) for name in only or rows}


def _training(path: Path, name: Any, row: Any, data: Path, bundles: Path) -> Training:
    """A row of the file, checked."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name) or name == MEASURED:
        raise ValueError(f"{path}: {name!r} is no name of a folder of its own: give it letters, digits, _ and -.")
    if not isinstance(row, dict) or not KEYS - {"settings"} <= set(row) <= KEYS:
        raise ValueError(f"{path}: {name} has other names than {', '.join(sorted(KEYS))}: correct it.")
    configs, settings = row["configs"], row.get("settings") or {}
    if not isinstance(configs, list) or not isinstance(settings, dict) or set(settings) & OURS:
        raise ValueError(f"{path}: {name} wants a list of configs, and settings without {', '.join(sorted(OURS))}.")
    training = Training(bundles / str(row["bundle"]), data / str(row["dataset"]), configs, settings)
    missing = [str(one) for one in (*training.files(), training.dataset) if not one.exists()]
    if missing:
        words = "correct it, --data or --bundles"
        raise ValueError(f"{path}: {name} needs {', '.join(missing)}, which does not exist: {words}.")
    _check_settings(path, name, training)
    return training


def _check_settings(path: Path, name: str, training: Training) -> None:
    """Raise ValueError where a setting is none of the configs', or of another kind."""
    try:
        # As the command line will read them: a value such as "[255]" is text here
        given = parsed([f"{setting}={value}" for setting, value in training.settings.items()])
        check_settings(given, training.files())
    except ValueError as error:
        raise ValueError(f"{path}: {name}: {error}") from error
