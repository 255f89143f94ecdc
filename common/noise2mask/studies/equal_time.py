"""Trainings that start together on one machine and end together: networks compared at equal wall time.

    python -m noise2mask.studies.equal_time benchmarks/equal_time.yaml --data DATA --output RUNS --minutes 8

First all of them are started for a short while, to see how fast each goes beside the others; then anew, with as many
epochs as fit, so that every schedule reaches its end. What was planned stands in `plan.json`; the same command again
goes on with the trainings that are not finished, so that a long plan can be done in pieces.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..files import Lock, check_writable, write_text_atomically
from ..handlers.checkpoint import finished
from ..handlers.epoch_log import SECONDS
from ..report.curves import read_scalars
from .training_rows import MEASURED, Training, read_trainings
from .training_speed import MEASURED_INTERVAL, SHARE, epochs_within, speed_of

logger = logging.getLogger(__name__)

PLAN = "plan.json"
MEASURED_PRIOR = 3  # epochs of the phase before
PATIENCE = 30.0  # s: that a training has to end when it is told to
POLL = 2.0  # s: between looks at what a measurement has written
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def planned(name: str, training: Training, folder: Path, seconds: float) -> dict[str, Any]:
    """The settings that make it end in time, from what its measurement in `folder` has written.

    Raises:
        ValueError: where the time is not enough, or there are no curves; it names the training or the folder.
    """
    if training.is_timed:
        return {"minutes": round(SHARE * seconds / 60, 2)}
    speed = speed_of(folder)
    if speed is None:
        raise ValueError(f"{folder} has no curves of a measurement.")
    try:
        return epochs_within(seconds, speed, int(training.setting("prior_epochs") or 0))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def measure(trainings: Mapping[str, Training], output: Path, seconds: float) -> dict[str, Any]:
    """Start all, end them when each has done some epochs, and plan for `seconds`.

    Raises:
        ValueError: where a training ends before; its log is named.
    """
    folder = output / MEASURED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    slow = set(trainings)
    with started(trainings, folder, {name: _endless(training) for name, training in trainings.items()}) as running:
        while slow:
            time.sleep(POLL)
            check_none([name for name, process in running.items() if process.poll() is not None], folder)
            slow = {name for name in slow if not _is_measured(trainings[name], folder / name)}
    plan = {name: planned(name, training, folder / name, seconds) for name, training in trainings.items()}
    shutil.rmtree(folder, ignore_errors=True)
    return plan


def _is_measured(training: Training, folder: Path) -> bool:
    """Whether it has done enough; of a timed one, whether it trains and no longer prepares."""
    if training.is_timed:
        return any(tag.endswith(SECONDS) for tag in read_scalars(folder))
    return speed_of(folder) is not None


def _endless(training: Training) -> dict[str, Any]:
    """Settings for a training that is ended from outside."""
    if training.is_timed:
        return {"minutes": 1_000_000}
    endless = {"epochs": 1_000_000, "val_interval": MEASURED_INTERVAL}
    return endless | ({"prior_epochs": MEASURED_PRIOR} if training.setting("prior_epochs") else {})


def check_none(failed: Sequence[str], folder: Path) -> None:
    """Raise ValueError where a training failed; the first one's log is named."""
    if failed:
        raise ValueError(f"{', '.join(failed)} failed: {folder / failed[0]}.log says why.")


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
                running[name] = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        yield running
    finally:
        for number in ENDING:  # lest a second one leaves trainings behind
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGKILL):
            _end(running.values(), number)
        for number in ENDING:
            signal.signal(number, _stop)


def _end(processes: Iterable[subprocess.Popen], number: signal.Signals) -> None:
    """Tell them and their workers to end, and wait for a while; workers may be left of those that have ended."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and any(process.poll() is None for process in processes):
        time.sleep(0.1)


def _stop(number: int, frame: Any) -> None:
    """A signal ends the command by way of its `finally` blocks."""
    sys.exit(128 + number)


def run(trainings: Mapping[str, Training], output: Path, seconds: float) -> None:
    """Plan, unless `plan.json` stands there, and train what is not finished.

    Raises:
        ValueError: where another process works in the folder, the plan is of other trainings or another time, or a
            training failed.
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"The time is {seconds:.0f} s, expected more than 0: correct --minutes.")
    check_writable(output)
    output.mkdir(parents=True, exist_ok=True)
    with closing(Lock(output)):
        plan = _plan(trainings, output, seconds)
        left = {name: training for name, training in trainings.items() if not finished(output / name)}
        for name in left:
            logger.info(f"{name}: " + ", ".join(f"{key} {value}" for key, value in plan[name].items()))
        with started(left, output, plan) as running:
            _wait(running, output)
            check_none([name for name, process in running.items() if process.returncode], output)


def _wait(running: Mapping[str, subprocess.Popen], output: Path) -> None:
    """Until all have ended; how each did is said at once."""
    began, ended = time.monotonic(), set[str]()
    while len(ended) < len(running):
        for name in [name for name, process in running.items() if name not in ended and process.poll() is not None]:
            ended.add(name)
            how = f"failed, see {output / name}.log," if running[name].returncode else "ended"
            logger.info(f"{name}: {how} after {(time.monotonic() - began) / 60:.1f} minutes")
        time.sleep(0.2)


def _plan(trainings: Mapping[str, Training], output: Path, seconds: float) -> dict[str, Any]:
    """Settings of each, as `plan.json` has them, which is made where there is none."""
    of = {"seconds": seconds, "trainings": {name: described(own) for name, own in trainings.items()}}
    path = output / PLAN
    text = json.dumps(of, default=str)
    if not path.is_file():
        made = {**json.loads(text), "plan": measure(trainings, output, seconds)}
        write_text_atomically(json.dumps(made, indent=1) + "\n", path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        plan = dict(found.pop("plan"))
        missing = set(trainings) - set(plan)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: delete it, or give another --output.") from error
    if missing or found != json.loads(text):
        raise ValueError(f"{path} is of other trainings, data or another time: give another --output.")
    return plan


def described(training: Training) -> dict[str, Any]:
    """As the plan keeps it."""
    data = str(training.dataset.resolve())
    return {
        "bundle": training.bundle.name,
        "dataset": data,
        "configs": list(training.configs),
        "settings": dict(training.settings),
    }


def main() -> None:
    """The command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for number in ENDING:
        signal.signal(number, _stop)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("trainings", type=Path, help="YAML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trainings' folders")
    parser.add_argument("--minutes", type=float, required=True, help="that all of them may take, measuring not counted")
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
