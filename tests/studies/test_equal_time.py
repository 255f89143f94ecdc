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
from tests.studies.times import write_times

from noise2mask.handlers.checkpoint import finished
from noise2mask.studies.equal_time import PLAN, planned, run
from noise2mask.studies.training_rows import Training, read_trainings
from noise2mask.studies.training_speed import Speed, epochs_within

ROWS = sorted((ROOT / "benchmarks").glob("equal_time*.yaml"))
OURS = Training(BUNDLES / "pgdiffseg", ROOT, ["data/busi"], {"prior_epochs": 4})
NNUNET = Training(BUNDLES / "pgdiffseg", ROOT, ["data/busi", "presets/nnunet", "presets/nnunet_train"], {})


def test_epochs_of_the_prior_are_those_of_the_configs_where_no_setting_says_more():
    assert OURS.setting("prior_epochs") == 4
    assert OURS._replace(settings={}).setting("prior_epochs") == 20  # of train.yaml
    assert OURS._replace(settings={}).setting("layout") == "busi"  # of its overlay
    assert OURS.setting("nothing") is None


def test_a_plan_is_of_the_measured_speed(tmp_path):
    write_times(tmp_path / "run", prior=[9.0, 4.0, 6.0], diffusion=[9.0, 5.0, 1.0, 7.0, 3.0])
    assert planned("ours", OURS, tmp_path / "run", 600) == epochs_within(600, Speed(2.0, 4.0, 5.0), 4)


def test_nnunet_takes_minutes_however_much_of_it_was_measured(tmp_path):
    write_times(tmp_path, nnunet=[6.0] * 7)
    assert planned("nnunet", NNUNET, tmp_path, 600) == {"minutes": 9.0}


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_the_rows_of_the_benchmarks_are_trainings(tmp_path, path):
    rows = yaml.safe_load(path.read_text())
    for row in rows.values():
        (tmp_path / row["dataset"]).mkdir(exist_ok=True)
    assert list(read_trainings(path, tmp_path, BUNDLES)) == list(rows)


def test_every_set_of_the_cards_has_both_peers():
    rows = yaml.safe_load(ROWS[0].read_text()).values()
    last = {row["dataset"]: set() for row in rows}
    for row in rows:
        last[row["dataset"]].add(row["configs"][-1])
    assert all({"presets/basic_unet_train", "presets/nnunet_train"} < names for names in last.values())


BAD = [
    ("[1]", {}, "is no mapping of names to bundle, configs, dataset, settings: correct it"),
    ("{}", {}, "is no mapping of names"),
    ("a: [", {}, "is no YAML"),
    ("a: {bundle: pgdiffseg, dataset: ., configs: [], datset: x}", {}, "a has other names than bundle"),
    ("a: {bundle: pgdiffseg, configs: []}", {}, "a has other names than bundle"),
    ("1: {bundle: pgdiffseg, dataset: ., configs: []}", {}, "1 is no name of a folder"),
    ("measured: {bundle: pgdiffseg, dataset: ., configs: []}", {}, "'measured' is no name of a folder of its own"),
    ("a: {bundle: pgdiffseg, dataset: ., configs: data/busi}", {}, "a wants a list of configs"),
    (
        "a: {bundle: pgdiffseg, dataset: ., configs: [], settings: {epochs: 5}}",
        {},
        "settings without dataset_dir, epochs",
    ),
    ("a: {bundle: pgdiffseg, dataset: ., configs: [], settings: {bach_size: 5}}", {}, "a: .*Did you mean batch_size"),
    ("a: {bundle: pgdiffseg, dataset: ., configs: [], settings: {batch_size: x}}", {}, "a: batch_size is 'x'"),
    ("a: {bundle: pgdiffseg, dataset: x, configs: []}", {}, "a needs .*x, which does not exist.*--data"),
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


@pytest.mark.parametrize("seconds", [0, -60, float("nan"), float("inf")])
def test_no_time_is_said_before_anything_is_started(tmp_path, seconds):
    with pytest.raises(ValueError, match="expected more than 0: correct --minutes"):
        run({"ours": OURS}, tmp_path / "runs", seconds)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"plan": [1]}'])
def test_a_damaged_plan_is_named(tmp_path, text):
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(ValueError, match="plan.json is damaged: delete it"):
        run({"ours": OURS}, tmp_path, 60)


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
        assert f"{name}: ended after " in done.stderr
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*.pt")}
    subprocess.run(command, check=True, timeout=100, cwd=tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in runs.rglob("*.pt")}
    other = subprocess.run([*command, "--only", "ours"], capture_output=True, text=True, cwd=tmp_path)
    assert other.returncode == 1 and "plan.json is of other trainings, data or another time" in other.stderr


@pytest.mark.e2e
def test_a_training_that_fails_is_named_with_its_log(demo, tmp_path):
    command = [*rows_file(tmp_path, demo, learning_rate=-1.0), "--minutes", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 1 and "ours failed: " in done.stderr and "measured/ours.log says why" in done.stderr
    assert "Invalid learning rate: -1.0" in (tmp_path / "runs" / "measured" / "ours.log").read_text()


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
