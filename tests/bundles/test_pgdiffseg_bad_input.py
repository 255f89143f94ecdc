"""Bad input by command: an error that names file and remedy before anything is trained, and nothing overwritten."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.files import LOCK
from noise2mask.networks.pgdiffseg import PGDiffSeg

pytestmark = pytest.mark.e2e


@pytest.fixture
def data(demo, tmp_path):
    return Path(shutil.copytree(demo, tmp_path / "data"))


@pytest.fixture
def refused(commands, training, data, tmp_path):
    """refused(words, options): training says these words, trains nothing and leaves what was there as it was."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.pt").write_bytes(b"the model of an earlier run")

    def refuse(*words, options=()):
        text = commands.fails([*training, "--dataset_dir", str(data), "--output_dir", str(run), *options])
        assert all(word in text for word in words), text[-3000:]
        assert "prior epoch" not in text and {path.name for path in run.iterdir()} <= {"model.pt", LOCK}
        assert (run / "model.pt").read_bytes() == b"the model of an earlier run"

    return refuse


def files(data, part):
    return sorted((data / part).iterdir())


def test_all_bad_files_are_listed_in_one_error(refused, data):
    rows = (data / "manifest.csv").read_text().splitlines()
    names = [row.split(",")[0] for row in rows if row.endswith("training")][:5]
    constant, broken, transparent = (data / "images" / f"{name}.png" for name in names[:3])
    values, size = (data / "masks" / f"{name}.png" for name in names[3:])
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(constant)
    broken.write_bytes(broken.read_bytes()[:200])
    picture = Image.open(transparent).convert("LA")
    picture.putalpha(9)
    picture.save(transparent)
    Image.fromarray((np.asarray(Image.open(values)) // 255 * 7 + 3).astype(np.uint8)).save(values)
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(size)
    refused(
        "The data can not be trained on:",
        f"{constant} has the value 7 everywhere",
        f"{broken} can not be read as an image",
        f"{transparent} has transparent pixels (alpha down to 9)",
        f"{values} holds the values",
        f"{size} has size (7, 5), but",
    )


def test_an_image_without_a_mask_is_named(refused, data):
    mask = files(data, "masks")[0]
    mask.unlink()
    refused(f"images/{mask.name} has no mask in masks/")


def test_a_patient_in_two_splits_is_named(refused, data):
    lines = (data / "manifest.csv").read_text().splitlines()
    head, first, last = lines[0].split(","), lines[1].split(","), lines[-1].split(",")
    last[head.index("patient")] = first[head.index("patient")]
    others = {line.split(",")[head.index("split")] for line in lines[1:]} - {first[head.index("split")]}
    last[head.index("split")] = sorted(others)[0]
    (data / "manifest.csv").write_text("\n".join([*lines[:-1], ",".join(last)]) + "\n")
    refused("is in several splits")


def test_an_empty_data_set_is_named(refused, data):
    for part in ("images", "masks"):
        for path in files(data, part):
            path.unlink()
    (data / "manifest.csv").unlink()
    refused(f"the data set {data} cannot be used", "it is empty")


def test_more_steps_than_timesteps_are_refused(refused):
    refused("steps is 2000, expected 1 to 1000", options=("--validation_steps", "2000"))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--target", "epsilon", "dice_weight needs the target x0 or v"),
        ("--timestep_power", "0", "timestep_power is 0, expected more than 0"),
        ("--image_size", "[18,18]", "this network needs multiples of 4"),
        ("--intensity_range", "[9,9]", "expected the lower value first"),
        ("--mask_scale", "0", "mask_scale is 0, expected more than 0"),
        ("--prior_epochs", "0", "prior_epochs is 0, expected a whole number from 1 up"),
        ("--val_interval", "0", "val_interval is 0, expected a whole number from 1 up"),
        ("--network_def::prior_classes", "3", "has no class; expected 0 to 2"),
    ],
)
def test_settings_that_can_not_work_are_refused_before_the_prior_is_trained(refused, option, value, words):
    refused(words, options=(option, value))


def test_a_folder_that_can_not_be_written_to_is_named(commands, training, tmp_path):
    (tmp_path / "file").touch()
    text = commands.fails([*training, "--output_dir", str(tmp_path / "file" / "run")])
    assert "file/run can not be written to (Not a directory)" in text and "give another output_dir" in text


@pytest.fixture
def evaluating(commands, demo, tmp_path):
    def command(*options):
        where = ("--dataset_dir", demo, "--output_dir", tmp_path / "scores", *options)
        return commands.bundle("evaluating", "inference.yaml evaluate.yaml", *where)

    return command


def test_weights_of_another_size_are_refused_with_what_differs(commands, evaluating, tmp_path):
    torch.save(PGDiffSeg(base=16, multipliers=(1, 2), dense_layers=2, num_groups=4).state_dict(), tmp_path / "big.pt")
    text = commands.fails(evaluating("--model_file", tmp_path / "big.pt"))
    assert "big.pt does not fit the network" in text and "expected shape" in text
    assert not (tmp_path / "scores").exists()


def test_truncated_weights_are_refused(commands, evaluating, weights, tmp_path):
    (tmp_path / "half.pt").write_bytes(weights.read_bytes()[:5000])
    assert "half.pt is no readable checkpoint" in commands.fails(evaluating("--model_file", tmp_path / "half.pt"))


def test_evaluation_refuses_what_it_can_not_score(commands, evaluating, weights, demo, data, tmp_path):
    options = ("--model_file", weights)
    assert "steps is 1001" in commands.fails(evaluating(*options, "--steps", "1001"))
    (tmp_path / "scores").touch()
    assert "scores can not be written to (File exists)" in commands.fails(evaluating(*options))
    (tmp_path / "scores").unlink()
    lines = (data / "manifest.csv").read_text().splitlines()
    test = next(line for line in lines if line.endswith("testing"))
    mask = data / "masks" / f"{test.split(',')[0]}.png"
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(mask)
    text = commands.fails(evaluating(*options, "--dataset_dir", data))
    assert "The data can not be scored:" in text and f"{mask} has size (7, 5), but" in text
    assert "sampling" not in text and not list((tmp_path / "scores").glob("*"))


@pytest.mark.parametrize("study", ["sampler_study.yaml", "settings_study.yaml", "robustness_study.yaml"])
def test_studies_refuse_what_they_can_not_score(commands, weights, data, tmp_path, study):
    lines = (data / "manifest.csv").read_text().splitlines()
    *_, last = (line.split(",")[0] for line in lines if line.endswith("testing"))
    values = data / "masks" / f"{last}.png"
    Image.fromarray(np.asarray(Image.open(values)) // 255 * 7 + 3).save(values)
    options = ("--model_file", weights, "--dataset_dir", data, "--output_dir", tmp_path / "study")
    text = commands.fails(commands.bundle("studying", f"inference.yaml evaluate.yaml {study}", *options))
    assert "The data can not be scored:" in text and f"{values} holds the values" in text
    assert not list((tmp_path / "study").glob("*"))


def test_a_datalist_with_a_patient_on_both_sides_is_refused(refused, data):
    names = [path.stem for path in files(data, "images")]
    item = {name: {"image": f"images/{name}.png", "label": f"masks/{name}.png", "patient": "p"} for name in names[:3]}
    sections = dict(zip(("training", "validation", "testing"), ([i] for i in item.values()), strict=True))
    (data / "datalist.json").write_text(json.dumps(sections))
    refused("patient p is in several splits (training, validation, testing)")
