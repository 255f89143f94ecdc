"""Trainings that end together: as many epochs as fit, each finished within the time, and no work twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from tests.conftest import BUNDLES, ROOT, TINY
from torch.utils.tensorboard import SummaryWriter

from noise2mask.handlers.checkpoint import finished
from noise2mask.studies.equal_time import PLAN, Training, epochs_within, planned, read_trainings

ROWS = ROOT / "benchmarks" / "equal_time.yaml"
OURS = Training(BUNDLES / "pgdiffseg", ROOT, ["data/busi"], {"prior_epochs": 4})
NNUNET = Training(BUNDLES / "pgdiffseg", ROOT, ["data/busi", "presets/nnunet", "presets/nnunet_train"], {})


@pytest.mark.parametrize(
    ("seconds", "per_epoch", "before", "expected"),
    [
        (100, 1.0, 0.0, {"epochs": 88, "val_interval": 4}),  # 90 fit; 90 / 24 is 4; whole intervals
        (100, 1.0, 60.0, {"epochs": 30, "val_interval": 1}),
        (100, 45.0, 0.0, {"epochs": 2, "val_interval": 1}),
    ],
)
def test_epochs_fit_into_nine_tenths_of_the_time(seconds, per_epoch, before, expected):
    assert epochs_within(seconds, per_epoch, before) == expected


def test_too_little_time_is_said():
    with pytest.raises(ValueError, match="100 s are not enough for two epochs of 46.0 s"):
        epochs_within(100, 46.0)


def write_times(folder, **phases):
    with SummaryWriter(str(folder)) as writer:
        for phase, seconds in phases.items():
            for epoch, value in enumerate(seconds, start=1):
                writer.add_scalar(f"{phase}_seconds", value, epoch)


def test_the_first_epoch_does_not_count_and_the_prior_takes_its_time(tmp_path):
    write_times(tmp_path / "run", prior=[5.0], diffusion=[9.0, 1.0, 3.0])
    assert planned(OURS, tmp_path / "run", 100) == epochs_within(100, 2.0, 4 * 5.0)


def test_epochs_of_the_prior_are_those_of_the_configs_where_no_setting_says_more():
    assert OURS.setting("prior_epochs") == 4
    assert OURS._replace(settings={}).setting("prior_epochs") == 20  # of train.yaml
    assert OURS._replace(settings={}).setting("layout") == "busi"  # of its overlay
    assert OURS.setting("nothing") is None


def test_nnunet_takes_minutes(tmp_path):
    assert planned(NNUNET, tmp_path, 600) == {"minutes": 9.0}


def test_the_rows_of_the_benchmarks_are_trainings(tmp_path):
    rows = yaml.safe_load(ROWS.read_text())
    for row in rows.values():
        (tmp_path / row["dataset"]).mkdir(exist_ok=True)
    trainings = read_trainings(ROWS, tmp_path, BUNDLES)
    assert list(trainings) == list(rows)
    kinds = {(own.bundle.name, own.dataset.name): set() for own in trainings.values()}
    for own in trainings.values():
        kinds[own.bundle.name, own.dataset.name].add(own.configs[-1].split("/")[-1])
    assert all({"basic_unet_train", "nnunet_train"} < names for names in kinds.values())  # every set has both peers


BAD = [
    ("[1]", {}, "is no mapping of names to bundle, configs, dataset, settings: correct it"),
    ("a: {bundle: pgdiffseg, datset: x}", {}, "is no mapping of names to"),
    ("a: {bundle: pgdiffseg, dataset: x, configs: []}", {}, "a needs .*x, which does not exist"),
    ("a: {bundle: pgdiffseg, dataset: ., configs: [data/none]}", {}, "a needs .*none.yaml, which does not exist"),
    ("a: {bundle: pgdiffseg, dataset: ., configs: []}", {"only": ["b"]}, "has no b, only a: correct --only"),
]


@pytest.mark.parametrize(("text", "options", "words"), BAD)
def test_bad_files_are_refused_by_name(tmp_path, text, options, words):
    path = tmp_path / "rows.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_trainings(path, tmp_path, BUNDLES, **options)
    assert str(path) in str(caught.value)


def rows_file(folder, demo, **settings):
    own = {**TINY["pgdiffseg"], "batch_size": 16, "device": "cpu", **settings}
    unet = {"network_def::network::features": "[4,4,4,4,4,4]", "image_size": "[32,32]", "batch_size": 16}
    row = {"bundle": "pgdiffseg", "dataset": demo.name}
    both = {
        "ours": {**row, "configs": ["data/folder"], "settings": {"prior_epochs": 2, **own}},
        "unet": {
            **row,
            "configs": ["data/folder", *(f"presets/basic_unet{x}" for x in ("", "_train"))],
            "settings": unet,
        },
    }
    path = folder / "rows.yaml"
    path.write_text(yaml.safe_dump(both))
    words = [path, "--data", demo.parent, "--output", folder / "runs", "--bundles", BUNDLES]
    return [sys.executable, "-m", "noise2mask.studies.equal_time", *map(str, words)]


@pytest.mark.e2e
def test_all_are_finished_in_time_and_nothing_is_done_twice(demo, tmp_path):
    command = [*rows_file(tmp_path, demo), "--minutes", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "runs"
    plan = json.loads((runs / PLAN).read_text())["plan"]
    assert set(plan) == {"ours", "unet"} and all(own["epochs"] % own["val_interval"] == 0 for own in plan.values())
    for name, own in plan.items():
        assert finished(runs / name) and f"/{own['epochs']}  loss" in (runs / f"{name}.log").read_text()
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*.pt")}
    subprocess.run(command, check=True, timeout=100, cwd=tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in runs.rglob("*.pt")}
    other = subprocess.run([*command, "--only", "ours"], capture_output=True, text=True, cwd=tmp_path)
    assert other.returncode == 1 and "plan.json is of other trainings or another time" in other.stderr


@pytest.mark.e2e
def test_a_training_that_fails_is_named_with_its_log(demo, tmp_path):
    command = [*rows_file(tmp_path, demo, learning_rate="nonsense"), "--minutes", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 1 and "ours failed: " in done.stderr and "measured/ours.log says why" in done.stderr
    assert "nonsense" in (tmp_path / "runs" / "measured" / "ours.log").read_text()


@pytest.mark.e2e
def test_no_training_outlives_the_command(demo, tmp_path):
    command = [*rows_file(tmp_path, demo), "--minutes", "0.3"]
    process = subprocess.Popen(command, cwd=tmp_path)
    log = tmp_path / "runs" / "measured" / "ours.log"
    until = time.monotonic() + 60
    while time.monotonic() < until and not log.is_file():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    found = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout.split()
    assert [pid for pid in found if int(pid) != os.getpid()] == []
