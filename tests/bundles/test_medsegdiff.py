"""MedSegDiff by command: training, resuming, two processes, evaluation, segmentation, presets, the study, refusals.

What all bundles share (files, geometry, kinds of input, kinds of damage) is tested with pgdiffseg.
"""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.files import load_plain
from noise2mask.networks.medsegdiff import MedSegDiff

from .runs import WRITTEN, assert_as_evaluated, assert_equal_runs, options, scalars

pytestmark = pytest.mark.e2e
NAME = "medsegdiff"
SHORT = {"batch_size": 4, "epochs": 3, "val_interval": 1, "learning_rate": 1.0e-3}  # the default is for long runs
QUICK = {"steps": 2, "samples": 2, "progress": False}
VIEWS = {"flips": "[[],[1]]", "zooms": "[1.0,0.85,1.2]"}  # of the training, in model.yaml


@pytest.fixture(scope="module")
def run(commands, demo):
    """run(run_id, configs, settings): the command of MONAI."""

    def command(run_id, configs, **settings):
        return commands.bundle(run_id, configs, "--dataset_dir", demo, *options(settings), name=NAME)

    return command


@pytest.fixture(scope="module")
def trained(commands, demo, tmp_path_factory):
    """Output folder of an uninterrupted training by `noise2mask train`."""
    folder = tmp_path_factory.mktemp("medsegdiff") / "run"
    train = commands.command("train", NAME, "--data", demo, "-o", folder, tiny=NAME)
    commands.run([*train, *options(SHORT, "--set")])
    return folder


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    """Random weights, whose masks depend on the image, with the settings of the training beside them."""
    torch.manual_seed(3)
    network = MedSegDiff(base=4, blocks=(1, 1, 1, 1), decoder_blocks=1, downsamplings=4, num_groups=8, grid=8)
    torch.nn.init.normal_(network.decoder.output[-1].weight, std=0.2)  # it begins at zero
    for weight in (weight for weight in network.parameters() if weight.ndim == 4):
        weight.data.mul_(3)  # at the usual size the noise outweighs the image
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(network.state_dict(), path)
    shutil.copy(trained / "model.yaml", path.with_suffix(".yaml"))
    return path


@pytest.fixture(scope="module")
def scored(commands, demo, weights, tmp_path_factory):
    """Output folder of `noise2mask evaluate`."""
    folder = tmp_path_factory.mktemp("scored")
    evaluate = commands.command("evaluate", NAME, "--data", demo, "-o", folder, "--weights", weights)
    commands.run([*evaluate, *options(QUICK, "--set")])
    return folder


def read(path):
    return json.loads(path.read_text())


# Training


def test_training_lowers_the_loss_and_writes_weights_checkpoints_and_events(trained):
    names = {path.name for path in trained.iterdir() if not path.name.startswith("events.out.tfevents.")}
    assert names == WRITTEN
    assert load_plain(trained / "last.pt")["finished"]
    found = scalars(trained)
    loss = list(found["train_loss"].values())
    assert list(found["train_loss"]) == list(range(1, 16)) and np.mean(loss[10:]) < np.mean(loss[:5])
    assert [list(found[name]) for name in ("diffusion_loss", "dice", "dice_lesion")] == [[1, 2, 3]] * 3


def test_killed_twice_and_resumed_has_the_losses_of_an_uninterrupted_run(commands, run, trained, tmp_path):
    command = run("training", "train.yaml data/folder.yaml", output_dir=tmp_path, **SHORT)
    for words in ("epoch 1 until 2 epochs", "epoch 2 until 3 epochs"):  # a validation begins
        assert commands.start(command).kill_after(words) == -9
    assert "resumed from" in commands.run(command)
    assert_equal_runs(tmp_path, trained)
    assert scalars(tmp_path)["train_loss"] == scalars(trained)["train_loss"]


@pytest.mark.distributed
def test_two_processes_train_one_model(commands, demo, tmp_path):
    train = commands.command("train", NAME, "--data", demo, "-o", tmp_path, tiny=NAME)
    started = commands.ranks([*train, *options({"batch_size": 2, "epochs": 1, "val_interval": 1}, "--set")])
    assert [process.wait() for process in started] == [0, 0], started[0].text + started[1].text
    saved = load_plain(tmp_path / "last.pt")
    assert saved["finished"] and saved["iteration"] == 5  # of 2 x 2 of 19 images
    assert sum(path.name.startswith("events") for path in tmp_path.iterdir()) == 3  # of the first rank alone
    assert set(load_plain(tmp_path / "model.pt")) == set(saved["objects"]["network"])


# Evaluation and segmentation


@pytest.mark.distributed
def test_two_processes_score_like_one(commands, demo, weights, scored, tmp_path):
    evaluate = commands.command("evaluate", NAME, "--data", demo, "-o", tmp_path, "--weights", weights)
    started = commands.ranks([*evaluate, *options(QUICK, "--set")])
    assert [process.wait() for process in started] == [0, 0], started[0].text + started[1].text
    found, expected = read(tmp_path / "scores.json"), read(scored / "scores.json")
    assert found["means"] == pytest.approx(expected["means"], abs=1e-6) and found["counts"] == expected["counts"]
    assert expected["counts"]["images"] == 3 and 0 < expected["means"]["dice"] < 1


def test_the_study_agrees_with_evaluation_and_has_no_prior(commands, run, weights, scored, tmp_path):
    grid = {"study_steps": "[2]", "study_samples": "[2]", **VIEWS}
    configs = "inference.yaml evaluate.yaml data/folder.yaml settings_study.yaml"
    commands.run(run("studying", configs, model_file=weights, output_dir=tmp_path, **grid))
    with open(tmp_path / "settings_study.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    means = read(scored / "scores.json")["means"]
    assert [float(row[name]) for name in ("dice", "dice_lesion")] == pytest.approx(
        [means[name] for name in ("dice", "dice_lesion")], abs=1e-6
    )
    assert row["sampler"] == "ddim" and not any("prior" in name for name in row)


def test_the_robustness_study_agrees_with_evaluation(commands, run, weights, scored, tmp_path):
    severities = {"study_noise": "[0.0]", "study_blur": "[0.05]", "study_contrast": "[]", "study_crop": "[0.6]"}
    configs = "inference.yaml evaluate.yaml data/folder.yaml robustness_study.yaml"
    own = {"model_file": weights, "output_dir": tmp_path, "steps": 2, "samples": 2, **VIEWS}
    commands.run(run("studying", configs, **own, **severities))
    with open(tmp_path / "robustness_study.csv", newline="") as file:
        first, noise, *others = csv.DictReader(file)
    assert_as_evaluated(first, read(scored / "scores.json"))
    names = ("dice", "expected_calibration_error", "triage")
    assert [noise[name] for name in names] == [first[name] for name in names]
    assert [row["corruption"] for row in others] == ["blur", "crop"]
    assert all(row["dice"] != first["dice"] for row in others)


def test_both_commands_segment_alike_with_the_default_sampling(commands, run, demo, weights, tmp_path):
    images = sorted((demo / "images").iterdir())[::12]
    (tmp_path / "in").mkdir()
    for path in images:
        shutil.copy(path, tmp_path / "in")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    commands.run(commands.command("segment", NAME, tmp_path / "in", "-o", ours, "--weights", weights))
    where = {"model_file": weights, "input": tmp_path / "in", "output_dir": theirs}
    commands.run(run("inferring", "inference.yaml data/folder.yaml", **where, **VIEWS))
    report = read(ours / "report.json")
    sampling = report["sampling"]
    assert (sampling["sampler"], len(sampling["timesteps"]), sampling["samples"]) == ("ddim", 2, 6)
    assert [case["triage"] for case in report["cases"]] == sorted((c["triage"] for c in report["cases"]), reverse=True)
    for path in images:
        for end in ("mask", "probability", "std"):
            name = f"{path.stem}_{end}.png"
            assert Image.open(ours / name).size == Image.open(path).size
            assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    masks = {np.asarray(Image.open(ours / f"{path.stem}_mask.png").resize((16, 16))).tobytes() for path in images}
    assert len(masks) == len(images) == 2


# Presets


def test_the_paper_s_preset_trains_and_samples_100_steps_of_ddpm_at_a_tenth_of_its_width(commands, demo, tmp_path):
    small = {"network_def::base": 6, "network_def::blocks": "[1,1,1,1]", "image_size": "[32,32]", "batch_size": 19}
    small |= {"epochs": 1, "val_interval": 2}
    presets = ("--preset", "s", "--preset", "paper")
    train = commands.command("train", NAME, "--data", demo, "-o", tmp_path / "run", *presets)
    commands.run([*train, *options(small, "--set")])
    saved = load_plain(tmp_path / "run" / "last.pt")
    assert saved["iteration"] == 1 and saved["finished"]
    image = next((demo / "images").iterdir())
    where = ("-o", tmp_path / "out", "--weights", tmp_path / "run" / "model.pt", "--samples", 1)
    commands.run(commands.command("segment", NAME, image, *where))
    sampling = read(tmp_path / "out" / "report.json")["sampling"]
    assert (sampling["sampler"], sampling["target"], sampling["mask_scale"]) == ("ddpm", "epsilon", 1)
    assert sampling["timesteps"] == list(range(999, 0, -10))  # respaced: 100 of 1000


def test_a_learned_variance_is_trained_and_sampled_with(commands, demo, tmp_path):
    run = tmp_path / "run"
    train = commands.command("train", NAME, "--data", demo, "-o", run, "--preset", "learn_sigma", tiny=NAME)
    settings = {"batch_size": 19, "epochs": 1, "val_interval": 1, "validation_sampler": "ddpm"}
    commands.run([*train, *options(settings, "--set")])
    bias = load_plain(run / "model.pt")["decoder.output.2.bias"]
    assert len(bias) == 2 and bias.all()  # the mask's and the variance's have left zero
    image = next((demo / "images").iterdir())
    segment = commands.command("segment", NAME, image, "-o", tmp_path / "out", "--weights", run / "model.pt")
    commands.run([*segment, *options({**QUICK, "steps": 4, "sampler": "ddpm"}, "--set")])
    sampling = read(tmp_path / "out" / "report.json")["sampling"]
    assert (sampling["sampler"], sampling["variance"]) == ("ddpm", "learned")


def test_a_u_net_in_its_place_trains_and_is_scored(commands, demo, tmp_path):
    train = commands.command("train", NAME, "--data", demo, "-o", tmp_path / "run", "--preset", "basic_unet")
    commands.run([*train, *options({**SHORT, "epochs": 1, "image_size": "[32,32]"}, "--set")])
    where = ("-o", tmp_path / "scores", "--weights", tmp_path / "run" / "model.pt")
    commands.run(commands.command("evaluate", NAME, "--data", demo, *where))
    scores = read(tmp_path / "scores" / "scores.json")
    assert (
        scores["counts"]["images"] == 3 and scores["sampling"]["samples"] == len(scores["sampling"]["timesteps"]) == 1
    )
    where = ("-o", tmp_path / "study", "--weights", tmp_path / "run" / "model.pt", "--section", "testing")
    severities = {"study_noise": "[0.3]", "study_blur": "[]", "study_contrast": "[]", "study_crop": "[]"}
    study = commands.command("explain", NAME, demo, "--what", "robustness", *where)
    commands.run([*study, *options(severities, "--set")])
    with open(tmp_path / "study" / "robustness_study.csv", newline="") as file:
        first, noise = csv.DictReader(file)
    assert_as_evaluated(first, scores)
    assert first["triage"] == noise["triage"] == ""  # of one sample


# Refusals


def test_a_network_for_other_channels_than_the_images_have_is_refused_before_training(commands, run, tmp_path):
    command = run("training", "train.yaml", output_dir=tmp_path / "run", **{"network_def::in_channels": 4})
    text = commands.fails(command)
    assert "change in_channels, or the images" in text
    assert "diffusion epoch" not in text and not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("target", "epsilon", "dice_weight needs the target x0 or v"),
        ("validation_steps", 2000, "steps is 2000, expected 1 to 1000"),
        ("timestep_power", 0, "timestep_power is 0, expected more than 0"),
    ],
)
def test_settings_that_can_not_work_are_refused_before_training(commands, run, tmp_path, name, value, words):
    text = commands.fails(run("training", "train.yaml", output_dir=tmp_path / "run", **{name: value}))
    assert words in text and "diffusion epoch" not in text and not list(tmp_path.rglob("*.pt"))
