"""Volumes by command: slices in training, whole volumes out, scores per patient in mm; phases, DICOM, studies."""

import csv
import json
from functools import partial

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.dicom_files import write_dicom
from torch.nn.functional import interpolate

from noise2mask.data.datalist import datalist
from noise2mask.files import load_plain
from noise2mask.metrics.overlap import count, overlap
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.networks.weights import load_weights

from .runs import assert_as_evaluated

pytestmark = pytest.mark.e2e
AFFINE = np.array([[0, -2.0, 0, 30], [1.5, 0, 0, -20], [0, 0, 3.0, 7], [0, 0, 0, 1]])
SHAPE = (20, 16)  # of a slice
DEPTHS = {1: 5, 2: 4, 49: 3, 50: 3, 56: 4, 60: 2}  # slices by patient


def examination(number):
    """(X, Y, Z) of two phases, the second one brighter in the lesion, and the mask."""
    rng = np.random.default_rng(number)
    before = rng.integers(50, 900, (*SHAPE, DEPTHS[number]))
    mask = np.zeros(before.shape, np.uint8)
    mask[6:12, 5:10, : DEPTHS[number] - 1] = 1
    return before, before + 2000 * mask.astype(int), mask


@pytest.fixture(scope="module")
def nact(tmp_path_factory):
    """Six patients with two phases: five as NIfTI of four axes, one as a folder of DICOM files."""
    folder = tmp_path_factory.mktemp("nact") / "data"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in DEPTHS:
        name, (before, after, mask) = f"UCSF-BR-{number:02d}", examination(number)
        if number == 60:
            phases = np.stack([before, after]).transpose(0, 3, 2, 1)  # phases, slices, rows, columns
            write_dicom(folder / "images" / name, phases)
            write_dicom(folder / "masks" / name, mask.transpose(2, 1, 0)[None])
        else:
            dynamic = np.stack([before, after], axis=-1).astype(np.int16)
            nib.save(nib.Nifti1Image(dynamic, AFFINE), folder / "images" / f"{name}.nii.gz")
            nib.save(nib.Nifti1Image(mask, AFFINE), folder / "masks" / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def trained_on_volumes(commands, nact, tmp_path_factory):
    """Weights of a training on slices, and what it said."""
    folder = tmp_path_factory.mktemp("nact_run")
    options = ("--dataset_dir", nact, "--output_dir", folder, "--batch_size", "3", "--prior_epochs", "1")
    text = commands.run(
        commands.bundle("training", "train.yaml data/nact.yaml", *options, "--epochs", "2", "--val_interval", "1")
    )
    return folder / "model.pt", text


@pytest.fixture(scope="module")
def scored_volumes(commands, nact, trained_on_volumes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nact_scores")
    configs = "inference.yaml evaluate.yaml data/nact.yaml"
    options = ("--dataset_dir", nact, "--output_dir", folder, "--model_file", trained_on_volumes[0])
    commands.run(commands.bundle("evaluating", configs, *options, "--samples", "2", "--progress", "False"))
    return folder


def test_training_sees_every_slice(trained_on_volumes):
    _, text = trained_on_volumes
    assert "resuming from iteration 0, epoch 0 until 2 epochs" in text and "diffusion epoch 2/2" in text
    assert "best dice" in text


def test_scores_are_per_volume_in_mm(scored_volumes):
    with open(scored_volumes / "cases.csv", newline="") as file:
        rows = {row["patient"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"UCSF-BR-56", "UCSF-BR-60"} and {row["hd95_unit"] for row in rows.values()} == {"mm"}
    for number in (56, 60):
        found = rows[f"UCSF-BR-{number}"]
        assert int(found["tp"]) + int(found["fn"]) == examination(number)[2].sum()
    assert json.loads((scored_volumes / "scores.json").read_text())["counts"]["patients"] == 2


@pytest.mark.parametrize("part", ["images", "one of DICOM"])
def test_whole_volumes_come_out_in_their_geometry(commands, nact, trained_on_volumes, tmp_path, part):
    name = "UCSF-BR-56.nii.gz" if part == "images" else "UCSF-BR-60"
    source = nact / "images" / name  # a file, or the folder of DICOM files
    options = (
        "--input",
        source,
        "--model_file",
        trained_on_volumes[0],
        "--output_dir",
        tmp_path / "out",
    )
    commands.run(commands.bundle("inferring", "inference.yaml data/nact.yaml", *options, "--samples", "2"))
    mask = nib.load(next((tmp_path / "out").glob("*_mask.nii.gz")))
    assert mask.shape == examination(int(name[8:10]))[2].shape
    if part == "images":
        assert np.allclose(mask.affine, AFFINE)


def test_a_phase_that_is_not_there_is_named(commands, nact, tmp_path):
    options = ("--dataset_dir", nact, "--output_dir", tmp_path, "--phase", "4")
    text = commands.fails(commands.bundle("training", "train.yaml data/nact.yaml", *options))
    assert "UCSF-BR-01.nii.gz has 2 phases, 0 to 1, but phase is 4" in text and "prior epoch" not in text


# Studies, joint training, presets


def test_the_sampler_study_is_one_command(commands, demo, weights, tmp_path):
    configs = "inference.yaml evaluate.yaml sampler_study.yaml"
    options = ("--dataset_dir", demo, "--model_file", weights, "--output_dir", tmp_path, "--section", "training")
    size = ("--budgets", "[2,5]", "--repeats", "2", "--ddpm_steps", "8")
    commands.run(commands.bundle("studying", configs, *options, *size))
    with open(tmp_path / "sampler_study.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sampler"] for row in rows] == ["ddim", "ddim"] + ["dpm_solver"] * 2 + ["dpm_solver_pp"] * 2 + [
        "unipc",
        "unipc",
        "ddpm",
    ]
    assert [int(row["evaluations"]) for row in rows] == [2, 5, 1, 5, 2, 5, 2, 5, 8]
    for row in rows:
        each = [float(row["dice_0"]), float(row["dice_1"])]
        assert float(row["dice_mean"]) == pytest.approx(np.mean(each))
        assert float(row["dice_variance"]) == pytest.approx(np.var(each, ddof=1))
    assert np.asarray(Image.open(tmp_path / "sampler_study.png")).std() > 0


def test_the_settings_study_agrees_with_evaluation(commands, demo, weights, tmp_path):
    options = ("--dataset_dir", demo, "--model_file", weights, "--seed", "3")
    study = ("--output_dir", tmp_path / "study", "--study_steps", "[2]", "--study_samples", "[3]")
    configs = "inference.yaml evaluate.yaml"
    commands.run(commands.bundle("studying", f"{configs} settings_study.yaml", *options, *study))
    one = ("--output_dir", tmp_path / "one", "--steps", "2", "--samples", "3", "--progress", "False")
    commands.run(commands.bundle("evaluating", configs, *options, *one))
    with open(tmp_path / "study" / "settings_study.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    means = json.loads((tmp_path / "one" / "scores.json").read_text())["means"]
    assert float(row["dice"]) == pytest.approx(means["dice"], abs=1e-6)
    assert float(row["dice_lesion"]) == pytest.approx(means["dice_lesion"], abs=1e-6)
    assert float(row["dice_of_the_prior"]) == pytest.approx(dice_of_the_prior(demo, weights), abs=1e-6)


def test_the_robustness_study_of_volumes_agrees_with_evaluation(
    commands, nact, trained_on_volumes, scored_volumes, tmp_path
):
    options = ("--dataset_dir", nact, "--output_dir", tmp_path, "--model_file", trained_on_volumes[0], "--samples", "2")
    severities = ("--study_noise", "[0.5]", "--study_blur", "[]", "--study_contrast", "[]", "--study_crop", "[0.5]")
    configs = "inference.yaml evaluate.yaml data/nact.yaml robustness_study.yaml"
    commands.run(commands.bundle("studying", configs, *options, *severities))
    with open(tmp_path / "robustness_study.csv", newline="") as file:
        first, noise, crop = csv.DictReader(file)
    assert_as_evaluated(first, json.loads((scored_volumes / "scores.json").read_text()))
    errors = [float(row["expected_calibration_error"]) for row in (first, noise, crop)]
    assert len(set(errors)) == 3  # whatever the masks of hardly trained weights are


def dice_of_the_prior(demo, weights):
    """Mean over patients of the prior's own Dice on the test images, without the study and the config."""
    network = load_weights(PGDiffSeg(base=8, multipliers=(1, 2), dense_layers=2, num_groups=4), weights).eval()
    resize, scores = partial(interpolate, mode="bilinear", antialias=True), {}
    for item in datalist(demo, "testing"):
        grey, mask = (torch.from_numpy(np.array(Image.open(item[key]), np.float32)) for key in ("image", "label"))
        image = resize(((grey[None, None] - 30) / 205).clamp(0, 1) * 2 - 1, (16, 16))
        with torch.no_grad():
            own = resize(network.coarse(network.encode(image)), mask.shape)[0, 0]
        scores.setdefault(item["patient"], []).append(overlap(count(own > 0.5, mask))["dice"])
    return np.mean([np.mean(each) for each in scores.values()])


def test_joint_training_is_one_phase_in_which_the_prior_learns(commands, demo, tmp_path):
    options = (
        "--dataset_dir",
        demo,
        "--output_dir",
        tmp_path,
        "--batch_size",
        "4",
        "--epochs",
        "2",
        "--val_interval",
        "2",
    )
    text = commands.run(commands.bundle("training", "train.yaml joint.yaml", *options))
    assert "prior epoch" not in text and "diffusion epoch 2/2" in text and (tmp_path / "model.pt").is_file()


def test_six_fold_copies_make_six_times_as_many_iterations(commands, demo, tmp_path):
    options = (
        "--dataset_dir",
        demo,
        "--output_dir",
        tmp_path,
        "--batch_size",
        "6",
        "--epochs",
        "1",
        "--prior_epochs",
        "1",
    )
    text = commands.run(commands.bundle("training", "train.yaml", *options, "--augmentation", "six_fold"))
    images = len(list((demo / "images").iterdir())) - 2 - 3
    assert load_plain(tmp_path / "last.pt")["iteration"] == images, text
