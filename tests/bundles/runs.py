"""What the output folders of trainings hold, and settings in a command."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from noise2mask.files import load_plain
from noise2mask.handlers.epoch_log import SECONDS

# In the output folder of a training, beside the events.
FILES = "model.pt model.yaml model_images.json last.pt last_previous.pt progress.png config.json lock"
WRITTEN = set(FILES.split())


def flat(value, name=""):
    """Every tensor and number of a checkpoint by name."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{name}::{key}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_equal_runs(folder, expected):
    """Network, moving average, optimiser, best metric and weights are equal to the last bit."""
    for name in ("last.pt", "model.pt"):
        found, wanted = load_plain(folder / name), load_plain(expected / name)
        for part in ("objects", "best", "phase", "epoch", "iteration", "finished", "model"):
            ours, theirs = flat(found.get(part)), flat(wanted.get(part))
            assert list(ours) == list(theirs)
            for key, value in ours.items():
                same = torch.equal(value, theirs[key]) if torch.is_tensor(value) else value == theirs[key]
                assert same, f"{name}: {part}{key} is {value}, expected {theirs[key]}"


def assert_as_evaluated(row, scores):
    """The first row of a robustness study, as its CSV has it, has the numbers of an evaluation."""
    expected = {name: scores["means"][name] for name in ("dice", "expected_calibration_error")}
    expected |= dict(zip(("dice_low", "dice_high"), scores["intervals"]["dice"], strict=True))
    expected["triage_spearman_with_dice"] = scores["triage"]["spearman_with_dice"]
    found = {name: float(row[name]) if row[name] else None for name in expected}
    assert row["corruption"] == "none" and int(row["images"]) == scores["counts"]["images"]
    assert found == pytest.approx(expected, abs=1e-6)


def scalars(folder):
    """name -> {step: value} of all event files, but for seconds, which differ from run to run."""
    found = {}
    for path in folder.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path)).Reload()
        for name in (name for name in events.Tags()["scalars"] if not name.endswith(SECONDS)):
            found.setdefault(name, {}).update({event.step: event.value for event in events.Scalars(name)})
    return found


def options(settings, form="--{}"):
    """Settings as a command takes them: --a 1 of MONAI, --set a=1 of noise2mask."""
    if form == "--set":
        return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return [str(part) for name, value in settings.items() for part in (f"--{name}", value)]
