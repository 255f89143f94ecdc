"""Training by command: what it writes, what it refuses, that an interruption changes nothing, two ranks, tracking."""

import os
import random
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from noise2mask.explain.training_curve import training_curve
from noise2mask.files import load_plain
from noise2mask.report.curves import read_scalars

from .runs import WRITTEN, assert_equal_runs, flat, scalars

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "pgdiffseg"
CONFIGS = BUNDLE / "configs"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def unfinished(commands, training, tmp_path_factory):
    """Output folder of a run that was killed in the second phase."""
    folder = tmp_path_factory.mktemp("unfinished") / "run"
    process = commands.start([*training, "--output_dir", str(folder)])
    assert process.kill_after("epoch 1 until 2 epochs") == -9  # the second validation begins
    assert load_plain(folder / "last.pt")["phase"] == 1
    return folder


@pytest.fixture
def copy_of(tmp_path):
    return lambda folder: Path(shutil.copytree(folder, tmp_path / "run"))


# What is written


def test_training_writes_weights_checkpoints_and_events(trained):
    names = {path.name for path in trained.iterdir() if not path.name.startswith("events.out.tfevents.")}
    assert names == WRITTEN
    assert load_plain(trained / "last.pt")["finished"]
    assert all(isinstance(tensor, torch.Tensor) for tensor in load_plain(trained / "model.pt").values())


def test_events_hold_the_loss_of_every_iteration_and_the_scores_of_every_validation(trained):
    found = scalars(trained)
    assert list(found["train_loss"]) == list(range(1, 16))
    assert [list(found[name]) for name in ("diffusion_loss", "dice", "dice_lesion")] == [[1, 2, 3]] * 3


def test_events_hold_the_seconds_of_every_epoch_of_both_phases(trained):
    seconds = {tag: own for tag, own in read_scalars(trained).items() if tag.endswith("_seconds")}
    assert set(seconds) == {"prior_seconds", "diffusion_seconds"}
    assert training_curve([trained])["total_minutes"] == round(
        sum(sum(own.values()) for own in seconds.values()) / 60, 1
    )


def test_a_run_writes_to_its_output_folder_alone(commands, training, tmp_path):
    before = sorted(path for path in BUNDLE.rglob("*"))
    commands.run([*training, "--output_dir", str(tmp_path / "run")])
    assert sorted(path for path in BUNDLE.rglob("*")) == before
    assert list(commands.folder.iterdir()) == []


def test_training_without_a_validation_saves_the_last_weights(commands, training, tmp_path):
    text = commands.run([*training, "--val_interval", "9", "--output_dir", str(tmp_path)])
    assert "no validation gave a score" in text
    average = load_plain(tmp_path / "last.pt")["objects"]["ema"]
    weights = load_plain(tmp_path / "model.pt")
    assert all(torch.equal(weights[name], average[name]) for name in average)


# Interruptions


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_again_and_again_and_resumed_is_uninterrupted(commands, training, trained, tmp_path, workers):
    moments = random.Random(workers)
    command = [*training, "--output_dir", str(tmp_path), "--num_workers", str(workers)]
    codes, texts = [], []
    for words in ("prior epoch 1/3", "until 3 epochs", "until 3 epochs", "diffusion epoch 1/3", "until 3 epochs"):
        process = commands.start(command)
        codes.append(process.kill_after(words, moments.uniform(0, 0.3)))
        texts.append(process.text)
    texts.append(commands.run(command))
    assert codes.count(-9) >= 3 and sum("resumed from" in text for text in texts) >= 2
    assert_equal_runs(tmp_path, trained)


def test_killed_between_the_phases_and_resumed_is_uninterrupted(commands, training, trained, tmp_path):
    command = [*training, "--output_dir", str(tmp_path)]
    for _ in range(5):  # the second phase takes a moment to start and to save, in which the kill must fall
        (tmp_path / "last.pt").unlink(missing_ok=True)
        (tmp_path / "last_previous.pt").unlink(missing_ok=True)
        assert commands.start(command).kill_after("Engine run finished") == -9
        saved = load_plain(tmp_path / "last.pt")
        if saved["phase"] == 0:
            break
    assert (saved["phase"], saved["epoch"], saved["finished"]) == (0, 3, False)
    assert "prior epoch" not in commands.run(command)
    assert_equal_runs(tmp_path, trained)


def test_the_same_command_after_the_end_starts_anew(commands, training, trained, copy_of):
    folder = copy_of(trained)
    text = commands.run([*training, "--output_dir", str(folder)])
    assert "prior epoch 1/3" in text and "resumed" not in text
    assert_equal_runs(folder, trained)


def test_a_truncated_checkpoint_falls_back_to_the_one_before(commands, training, trained, unfinished, copy_of):
    folder = copy_of(unfinished)
    with open(folder / "last.pt", "r+b") as file:
        file.truncate(5000)
    text = commands.run([*training, "--output_dir", str(folder)])
    assert "Falling back" in text and "resumed from" in text
    assert_equal_runs(folder, trained)


def test_another_config_does_not_go_on_with_an_unfinished_run(commands, training, unfinished, copy_of):
    folder = copy_of(unfinished)
    text = commands.fails([*training, "--output_dir", str(folder), "--learning_rate", "0.5"])
    assert "belongs to an unfinished run" in text and "learning_rate is 0.5, was 0.001" in text
    assert (folder / "last.pt").read_bytes() == (unfinished / "last.pt").read_bytes()


# Refusals


def test_a_second_training_in_the_same_folder_is_refused_before_it_writes_anything(commands, training, tmp_path):
    command = [*training, "--output_dir", str(tmp_path)]
    first = commands.start(command)
    first.follow("prior epoch 1/3")
    os.killpg(first.number, signal.SIGSTOP)  # it writes nothing meanwhile, and has the folder
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    assert f"Another process works in {tmp_path}; expected a folder of its own" in commands.fails(command)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before
    first.kill()
    first.wait()
    commands.run(command)


def test_a_training_may_begin_with_the_weights_of_another(commands, training, weights, tmp_path):
    still = ("--learning_rate", "1.0e-12", "--epochs", "1", "--prior_epochs", "1", "--image_size", "[32,32]")
    begun = ("--initial_weights", str(weights), "--output_dir", str(tmp_path))
    commands.run([*training, *still, *begun])
    expected, found = load_plain(weights)["model"], load_plain(tmp_path / "model.pt")
    names = [name for name in expected if name.endswith("weight") and expected[name].ndim > 1]
    assert len(names) > 20 and all(torch.allclose(found[name], expected[name], atol=1e-6) for name in names)


def test_initial_weights_of_another_network_are_refused_before_anything_is_written(
    commands, training, trained, tmp_path
):
    options = ("--initial_weights", str(trained / "model.pt"), "--network_def::base", "16")
    assert "does not fit the network" in commands.fails([*training, *options, "--output_dir", str(tmp_path / "run")])
    assert not list(tmp_path.rglob("*.pt"))


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_checkpoint(commands, training, tmp_path):
    text = commands.fails([*training, "--output_dir", str(tmp_path), "--train::optimizer::lr", "1e30"])
    assert "the last checkpoint is untouched" in text
    saved = load_plain(tmp_path / "last.pt")
    assert saved["phase"] == 0
    assert all(value.isfinite().all() for value in flat(saved["objects"]).values() if torch.is_tensor(value))


def test_a_missing_folder_and_an_unknown_layout_are_named(commands, tmp_path, training):
    command = [*training, "--output_dir", str(tmp_path / "run")]
    text = commands.fails([*command, "--dataset_dir", str(tmp_path / "nowhere")])
    assert f"{tmp_path}/nowhere does not exist" in text
    assert "layout is 'hospital', expected one of folder, busi, nact" in commands.fails(
        [*command, "--layout", "hospital"]
    )


def test_files_that_can_not_be_used_are_named(commands, demo, tmp_path, training):
    data = Path(shutil.copytree(demo, tmp_path / "data"))
    command = [*training, "--output_dir", str(tmp_path / "run"), "--dataset_dir", str(data)]
    mask, image = sorted((data / "masks").iterdir())[0], sorted((data / "images").iterdir())[-1]
    good = mask.read_bytes()
    Image.fromarray((np.asarray(Image.open(mask)) // 255 * 7 + 3).astype(np.uint8)).save(mask)
    assert f"{mask} holds the values 3, 10" in commands.fails(command)
    mask.write_bytes(good)
    image.write_bytes(image.read_bytes()[:200])
    assert f"{image} can not be read as an image" in commands.fails(command)
    mask.unlink()
    assert f"images/{mask.name} has no mask in masks/" in commands.fails(command)


# Two processes

DISTRIBUTED = "train.yaml data/folder.yaml multi_gpu_train.yaml"


def as_distributed(training):
    """The same command with the overlay for several processes, half the batch on each."""
    files = str([str(CONFIGS / name) for name in DISTRIBUTED.split()])
    command = list(training)
    command[command.index("--config_file") + 1] = files
    command[command.index("--batch_size") + 1] = "2"
    return command


@pytest.mark.distributed
def test_two_processes_train_one_model_killed_or_not(commands, training, tmp_path):
    command = as_distributed(training)
    commands.torchrun([*command, "--output_dir", str(tmp_path / "whole")])
    names = [path.name for path in (tmp_path / "whole").iterdir()]
    assert (
        sum(name.startswith("events") for name in names) == 4
    )  # both trainers, validator, its pictures; the first rank's
    assert {"model.pt", "last.pt", "last_previous.pt"} < set(names)
    killed = [*command, "--output_dir", str(tmp_path / "killed")]
    first, second = commands.ranks(killed)
    first.kill_after("epoch 1 until 2 epochs")  # the second validation begins
    second.kill()
    assert second.wait() == -9
    first, second = commands.ranks(killed)
    assert (first.wait(), second.wait()) == (0, 0), first.text + second.text
    assert "epoch 1/3" not in first.text and "resumed from" in second.text and "resumed from" in first.text
    assert_equal_runs(tmp_path / "killed", tmp_path / "whole")


GRADIENTS = """
import os, sys, torch
from torch import distributed
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.losses.diffusion_loss import DiffusionLoss

rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
torch.manual_seed(0)
network = PGDiffSeg(base=8, multipliers=(1, 2), dense_layers=2, dense_norm="group", num_groups=4)
network.freeze_prior()
x, image, target = torch.randn(3, 4, 1, 16, 16)
t = torch.tensor([3, 999, 40, 500])
model = network
if ranks > 1:
    distributed.init_process_group("gloo")
    model = torch.nn.parallel.DistributedDataParallel(network)
mine = slice(rank, None, ranks)
DiffusionLoss()(model(x[mine], t[mine], image[mine]), {"prediction": target[mine]}).backward()
found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
torch.save(found, f"{sys.argv[1]}/{ranks}_{rank}.pt")
if ranks > 1:
    distributed.destroy_process_group()
"""


@pytest.mark.distributed
def test_two_processes_with_half_the_batch_have_the_gradients_of_one(commands, tmp_path):
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    commands.run([str(script), str(tmp_path)])
    assert [process.wait() for process in commands.ranks([str(script), str(tmp_path)])] == [0, 0]
    one, *two = (load_plain(tmp_path / name) for name in ("1_0.pt", "2_0.pt", "2_1.pt"))
    assert len(one) > 50 and not any(name.startswith("prior") for name in one)
    scale = max(float(gradient.abs().max()) for gradient in one.values())
    for name, gradient in one.items():
        for rank in two:
            torch.testing.assert_close(rank[name], gradient, rtol=1e-5, atol=1e-5 * scale)


# Tracking


def test_mlflow_follows_a_run_that_is_resumed(commands, training, trained, tmp_path):
    pytest.importorskip("mlflow")
    command = [*training, "--output_dir", str(tmp_path / "run"), "--tracking", "mlflow"]
    commands.start(command).kill_after("epoch 1 until 2 epochs")
    text = commands.run(command)
    assert "resumed from" in text
    with sqlite3.connect(tmp_path / "run" / "mlruns.db") as database:
        steps = set(database.execute("select key, step from metrics"))
    assert {("train_loss", 15), ("diffusion_loss", 3), ("dice", 3)} <= steps
    assert_equal_runs(tmp_path / "run", trained)
    assert list(commands.folder.iterdir()) == []


# Configs


def test_the_light_augmentation_moves_images_and_leaves_their_grey_values():
    parser = ConfigParser(ConfigParser.load_config_files([CONFIGS / "train.yaml", CONFIGS / "presets/size_64.yaml"]))
    transforms = parser["train::random_transforms"]
    moved = [transform["_target_"] for transform in transforms if transform["prob"]]
    assert moved == ["RandFlipd", "RandAffined"] and len(transforms) == 7
