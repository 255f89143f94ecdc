"""Trainings that start together on one machine and end together: networks compared at equal wall time.

    python -m noise2mask.studies.equal_time benchmarks/equal_time.yaml --data DATA --output RUNS --minutes 8

First all of them are started for a short while, to see how fast each goes beside the others; then anew, with as many
epochs as fit, so that every schedule reaches its end. What was planned stands in `plan.json`; the same command again
goes on with the trainings that are not finished, so that a long plan can be done in pieces.
"""

import argparse
import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..files import check_writable, write_text_atomically
from ..handlers.checkpoint import finished
from ..handlers.epoch_log import SECONDS
from ..report.curves import read_scalars

logger = logging.getLogger(__name__)

PLAN, MEASURED = "plan.json", "measured"
TIMED = "presets/nnunet_train"  # takes minutes and not epochs
PRIOR = f"prior{SECONDS}"  # of PGDiffSeg's first phase
SHARE = 0.9  # of the time that is planned for: starting takes some, and the others' share of the machine varies
MEASURED_EPOCHS = 3  # of each
VALIDATIONS = 24  # of a training: enough to see how its curve ends
KEYS = {"bundle", "dataset", "configs", "settings"}


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
        names = [str(path) for path in self.files()]
        words = [sys.executable, "-m", "monai.bundle", "run", "training", "--bundle_root", str(self.bundle)]
        words += ["--config_file", str(names), "--dataset_dir", str(self.dataset), "--output_dir", str(output)]
        return words + [word for name, value in {**self.settings, **more}.items() for word in (f"--{name}", str(value))]


def read_trainings(path: Path, data: Path, bundles: Path, only: Sequence[str] = ()) -> dict[str, Training]:
    """The rows of a YAML file: a name, and its bundle, dataset (in `data`), configs and settings.

    Raises:
        ValueError: where the file is no such mapping, a name of `only` is not in it, or a config or dataset is missing.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(rows, dict) or not all(isinstance(row, dict) and KEYS >= set(row) for row in rows.values()):
        raise ValueError(f"{path} is no mapping of names to {', '.join(sorted(KEYS))}: correct it.")
    unknown = sorted(set(only) - set(rows))
    if unknown:
        raise ValueError(f"{path} has no {', '.join(unknown)}, only {', '.join(rows)}: correct --only.")
    found = {}
    for name in only or rows:
        row = rows[name]
        training = Training(bundles / row["bundle"], data / row["dataset"], row["configs"], row.get("settings", {}))
        missing = [str(one) for one in (*training.files(), training.dataset) if not one.exists()]
        if missing:
            raise ValueError(f"{path}: {name} needs {', '.join(missing)}, which does not exist: correct it.")
        found[name] = training
    return found


def epochs_within(seconds: float, per_epoch: float, before: float = 0.0) -> dict[str, int]:
    """As many epochs as fit, in whole intervals of validation.

    Args:
        seconds:   that are there.
        per_epoch: seconds of an epoch, its validation included.
        before:    seconds that another phase takes first.

    Returns:
        `epochs` and `val_interval`, the settings.

    Raises:
        ValueError: where not even two epochs fit.
    """
    most = int((SHARE * seconds - before) / per_epoch)
    if most < 2:
        raise ValueError(f"{seconds:.0f} s are not enough for two epochs of {per_epoch:.1f} s: give more --minutes.")
    interval = max(1, round(most / VALIDATIONS))
    return {"epochs": most // interval * interval, "val_interval": interval}


def epoch_seconds(folder: Path) -> tuple[float, list[float]]:
    """What the epochs of a training took, by its curves.

    Returns:
        The mean of a prior phase's, 0 where there is none; and those of the phase that is validated, one by one.
    """
    times = {tag: list(steps.values()) for tag, steps in read_scalars(folder).items() if tag.endswith(SECONDS)}
    prior = times.pop(PRIOR, [0.0])
    main = [seconds for own in times.values() for seconds in own]
    return sum(prior) / len(prior), main


def planned(training: Training, folder: Path, seconds: float) -> dict[str, Any]:
    """The settings that make it end in time, from what its measurement in `folder` has written.

    Of its epochs the first does not count, because it fills the caches.
    """
    if training.is_timed:
        return {"minutes": round(SHARE * seconds / 60, 2)}
    prior, (_, *main) = epoch_seconds(folder)
    return epochs_within(seconds, sum(main) / len(main), prior * int(training.setting("prior_epochs") or 0))


def measure(trainings: Mapping[str, Training], output: Path, seconds: float) -> dict[str, Any]:
    """Start all, end them when each has done some epochs, and plan for `seconds`.

    Raises:
        ValueError: where a training ends before; its log is named.
    """
    folder = output / MEASURED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    slow = [folder / name for name, training in trainings.items() if not training.is_timed]
    more = {name: _endless(training) for name, training in trainings.items()}
    with started(trainings, folder, more) as running:
        while slow and not failed(running):
            time.sleep(1)
            slow = [path for path in slow if len(epoch_seconds(path)[1]) < MEASURED_EPOCHS]
        check_none_failed(failed(running), folder)
    plan = {name: planned(training, folder / name, seconds) for name, training in trainings.items()}
    shutil.rmtree(folder)
    return plan


def _endless(training: Training) -> dict[str, Any]:
    """Settings for a training that is ended from outside; one epoch of a prior is enough to see what it takes."""
    if training.is_timed:
        return {"minutes": 1_000_000}
    endless = {"epochs": 1_000_000, "val_interval": 5}
    return endless | ({"prior_epochs": 1} if training.setting("prior_epochs") else {})


def failed(running: Mapping[str, subprocess.Popen]) -> list[str]:
    """Names of those that have ended with an error."""
    return [name for name, process in running.items() if process.poll()]


def check_none_failed(names: Sequence[str], folder: Path) -> None:
    """Raise ValueError where a training failed; the first one's log is named."""
    if names:
        raise ValueError(f"{', '.join(names)} failed: {folder / names[0]}.log says why.")


@contextmanager
def started(
    trainings: Mapping[str, Training], folder: Path, more: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, subprocess.Popen]]:
    """Their processes, by name, which do not outlive the block; what they print stands in `folder`/NAME.log."""
    running: dict[str, subprocess.Popen] = {}
    try:
        for name, training in trainings.items():
            words = training.command(folder / name, more[name])
            with (folder / f"{name}.log").open("a", encoding="utf-8") as log:
                running[name] = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        yield running
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def run(trainings: Mapping[str, Training], output: Path, seconds: float) -> None:
    """Plan, unless `plan.json` stands there, and train what is not finished.

    Raises:
        ValueError: where the plan is of other trainings or another time, or a training failed.
    """
    check_writable(output)
    of = {"seconds": seconds, "trainings": {name: described(own) for name, own in trainings.items()}}
    path = output / PLAN
    if not path.is_file():
        write_text_atomically(json.dumps({**of, "plan": measure(trainings, output, seconds)}, indent=1) + "\n", path)
    found = json.loads(path.read_text(encoding="utf-8"))
    if {name: found[name] for name in of} != of:
        raise ValueError(f"{path} is of other trainings or another time: give another --output.")
    left = {name: training for name, training in trainings.items() if not finished(output / name)}
    for name in left:
        logger.info(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found["plan"][name].items()))
    with started(left, output, found["plan"]) as running:
        for process in running.values():
            process.wait()
        check_none_failed(failed(running), output)


def described(training: Training) -> dict[str, Any]:
    """As the plan keeps it."""
    return {"bundle": training.bundle.name, "configs": list(training.configs), "settings": dict(training.settings)}


def main() -> None:
    """The command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no training is left behind
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("trainings", type=Path, help="YAML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trainings' folders")
    parser.add_argument("--minutes", type=float, required=True, help="that all of them may take")
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--only", nargs="+", default=[], help="names in the file")
    given = parser.parse_args()
    try:
        trainings = read_trainings(given.trainings, given.data, given.bundles, given.only)
        run(trainings, given.output, 60 * given.minutes)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
