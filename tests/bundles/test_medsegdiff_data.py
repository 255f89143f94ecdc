"""MedSegDiff by command on modalities, colour and whole volumes: BraTS cases, fundus photographs, what is refused."""

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.e2e
NAME = "medsegdiff"
AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 9], [0, 0, 3, 0], [0, 0, 0, 1]])
CASES, SHAPE = 10, (12, 10, 3)
SHORT = ("--epochs", "1", "--val_interval", "1", "--batch_size", "7", "--validation_steps", "1")
QUICK = ("--steps", "1", "--samples", "2", "--progress", "False")


def path_of(folder, case, kind):
    """Of a modality, or of the labels."""
    return Path(folder) / f"BraTS2021_{case:05d}" / f"BraTS2021_{case:05d}_{kind}.nii.gz"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Ten patients whose tumour shows in flair alone."""
    folder = tmp_path_factory.mktemp("brats") / "data"
    for case in range(CASES):
        rng, seg = np.random.default_rng(case), np.zeros(SHAPE, np.uint8)
        seg[4:8, 3:7, :2], seg[5:7, 4:6, 1] = 2, 4
        path_of(folder, case, "seg").parent.mkdir(parents=True)
        for kind in ("t1", "t1ce", "t2", "flair", "seg"):
            values = seg if kind == "seg" else rng.integers(200, 300, SHAPE) + 500 * (kind == "flair") * (seg > 0)
            nib.save(nib.Nifti1Image(values.astype(np.int16), AFFINE), path_of(folder, case, kind))
    return folder


@pytest.fixture(scope="module")
def brats(commands):
    """brats(run_id, configs, options): a command of MONAI with the overlay."""

    def command(run_id, configs, *options):
        return commands.bundle(run_id, f"{configs} data/brats2021.yaml", *options, name=NAME)

    return command


@pytest.mark.parametrize("dims", [2, 3])
def test_four_modalities_train_and_volumes_are_scored_in_mm(commands, brats, cases, tmp_path, dims):
    run, scores = tmp_path / "run", tmp_path / "scores"
    where = ("--dataset_dir", cases, "--output_dir")
    own = ("--spatial_dims", dims, "--augmentation", "none")
    batch = () if dims == 2 else ("--network_def::grid", "4")
    text = commands.run(brats("training", "train.yaml", *where, run, *SHORT, *own, *batch))
    assert "training: 7 images of 7 patients" in text and "diffusion epoch 1/1" in text
    weights = ("--model_file", run / "model.pt", *QUICK, *own[:2], *batch)
    commands.run(brats("evaluating", "inference.yaml evaluate.yaml", *where, scores, *weights))
    rows = list(csv.DictReader((scores / "cases.csv").open()))
    assert len(rows) == 2 and {row["hd95_unit"] for row in rows} == {"mm"}
    assert all(int(row["tp"]) + int(row["fn"]) == 32 for row in rows)  # voxels of the whole tumour, of a whole volume
    assert json.loads((scores / "scores.json").read_text())["counts"]["images"] == 2


def test_a_case_comes_out_as_one_volume_in_its_geometry(commands, brats, cases, tmp_path):
    given = path_of(cases, 3, "t1")
    run = tmp_path / "run"
    commands.run(brats("training", "train.yaml", "--dataset_dir", cases, "--output_dir", run, *SHORT))
    options = ("--input", given.parent, "--output_dir", tmp_path / "out", "--model_file", run / "model.pt", *QUICK)
    commands.run(brats("inferring", "inference.yaml", *options))
    mask = nib.load(tmp_path / "out" / "BraTS2021_00003_t1_mask.nii.gz")
    assert mask.shape == SHAPE and np.allclose(mask.affine, AFFINE)


# Refusals: all before training, by name


@pytest.fixture
def refused(commands, brats, cases, tmp_path):
    """refused(change, words): what training says of a changed copy of the cases."""

    def refuse(change, *words, options=()):
        folder = Path(shutil.copytree(cases, tmp_path / "data"))
        change(folder)
        options = ("--dataset_dir", folder, "--output_dir", tmp_path / "run", *SHORT, *options)
        text = commands.fails(brats("training", "train.yaml", *options))
        assert all(word in text for word in words), text[-3000:]
        assert "diffusion epoch" not in text and not list(tmp_path.rglob("*.pt"))

    return refuse


def test_a_missing_modality_of_one_case_is_named(refused):
    refused(lambda folder: path_of(folder, 4, "t2").unlink(), "BraTS2021_00004_t2.nii.gz is missing; expected t1, t1ce")


def test_modalities_that_differ_in_geometry_are_named_all_at_once(refused):
    def change(folder):
        shifted = AFFINE + np.array([[0, 0, 0, 5]] + 3 * [[0, 0, 0, 0]])
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), shifted), path_of(folder, 3, "t1ce"))
        nib.save(nib.Nifti1Image(np.ones((12, 10, 4), np.int16), AFFINE), path_of(folder, 2, "flair"))

    refused(change, "BraTS2021_00003_t1ce.nii.gz has another position, spacing or orientation than",
            "BraTS2021_00003_t1.nii.gz", "BraTS2021_00002_flair.nii.gz has shape (12, 10, 4), but")  # fmt: skip


def test_another_number_of_channels_than_the_config_has_is_named(refused):
    words = "BraTS2021_00000_t1.nii.gz has 4 channels, of 4 files; expected 3"
    refused(lambda folder: None, words, options=("--in_channels", "3"))


# Colour, several classes, the crop


def test_a_cup_is_trained_in_crops_around_the_disc_and_comes_back_to_its_place(commands, tmp_path):
    data = tmp_path / "data"
    rows, columns = np.mgrid[:96, :120]
    for name in ("images", "masks"):
        (data / name).mkdir(parents=True)
    for n in range(10):
        y, x = 40 + n, 50 + 2 * n
        field = (rows - 48) ** 2 + (columns - 60) ** 2 < 46**2
        disc, cup = ((rows - y) ** 2 + (columns - x) ** 2 < r**2 for r in (9, 4))
        red = np.where(field, 120, 0) + 80 * disc + 40 * cup
        picture = np.stack([red, red // 2, red // 4], axis=-1).astype(np.uint8)
        Image.fromarray(picture).save(data / "images" / f"{n}.png")
        Image.fromarray((disc.astype(np.uint8) + cup).astype(np.uint8)).save(data / "masks" / f"{n}.png")
    overlay = ("--preset", "data/drishti_gs_cup")
    run = tmp_path / "run"
    settings = ("--set", "epochs=1", "--set", "val_interval=1")
    commands.run([*commands.command("train", NAME, "--data", data, "-o", run, *overlay, tiny=NAME), *settings])
    out, weights = tmp_path / "out", ("--weights", run / "model.pt", "--set", "steps=1", "--set", "samples=1")
    scoring = commands.command("evaluate", NAME, "--data", data, "-o", tmp_path / "scores", *weights)
    refused = commands.start(scoring)
    assert refused.wait() == 2 and "or name foreground and background" in refused.text
    commands.run([*scoring, *overlay])
    assert all(int(row["tp"]) + int(row["fn"]) in range(37, 53) for row in  # pixels of a cup of radius 4
               csv.DictReader((tmp_path / "scores" / "cases.csv").open()))  # fmt: skip
    commands.run(commands.command("segment", NAME, data / "images" / "3.png", "-o", out, *weights))
    probability = np.asarray(Image.open(out / "3_probability.png"))
    inside = np.argwhere(probability > 0)
    assert probability.shape == (96, 120) and 20 < np.ptp(inside, axis=0).max() < 60  # the window, not the picture
    assert np.abs(inside.mean(axis=0) - (43, 56)).max() < 9
