"""nnU-Net by command: trained with a bundle's presets, resumed, scored by the bundle's own evaluation."""

import json

import numpy as np
import pytest

from noise2mask.digest import sha256
from noise2mask.files import load_plain

from ..conftest import BUNDLES

pytestmark = [pytest.mark.peers, pytest.mark.e2e, pytest.mark.slow]
PRESETS = "presets/nnunet.yaml presets/nnunet_train.yaml"


def command(run_id, name, configs, **settings):
    """MONAI's, of a bundle's configs."""
    files = [config if "/run/" in config else str(BUNDLES / name / "configs" / config) for config in configs.split()]
    options = [str(part) for key, value in settings.items() for part in (f"--{key}", value)]
    where = ["--bundle_root", str(BUNDLES / name), "--config_file", str(files)]
    return ["-m", "monai.bundle", "run", run_id, *where, *options]


def evaluated(commands, name, data, tmp_path, configs="data/folder.yaml"):
    """scores.json of the test images."""
    model, scores = tmp_path / "run" / "model.pt", tmp_path / "scores"
    files = f"inference.yaml evaluate.yaml {configs} presets/nnunet.yaml {tmp_path / 'run' / 'model.yaml'}"
    where = {"dataset_dir": data, "model_file": model, "output_dir": scores}
    commands.run(command("evaluating", name, files, **where))
    content = json.loads((scores / "scores.json").read_text())
    assert content["weights"] == sha256(model) and content["counts"]["images"] == 2
    assert content["counts"]["trained_on"] == 0 and content["sampling"]["samples"] == 1
    return content


def test_a_killed_training_goes_on_where_it_was_and_is_scored_as_any_other(commands, binary, tmp_path):
    settings = {"dataset_dir": binary, "output_dir": tmp_path / "run", "image_size": "[32,32]"}
    training = command(
        "training", "pgdiffseg", f"train.yaml {PRESETS}", **settings, minutes=0.25, iterations_per_epoch=2
    )
    assert commands.start(training).kill_after("epoch 2:") < 0
    before = load_plain(tmp_path / "run" / "last.pt")
    assert not before["finished"] and not (tmp_path / "run" / "model.pt").exists()
    text = commands.run(training)
    after = load_plain(tmp_path / "run" / "last.pt")
    assert f"{before['epoch']} epochs in" in text and "finished after" in text
    assert after["finished"] and after["epoch"] > before["epoch"] and 15 > before["elapsed"] < after["elapsed"] < 25
    assert evaluated(commands, "pgdiffseg", binary, tmp_path)["means"]["dice"] > 0.3


def test_an_unfinished_run_of_other_settings_is_refused(commands, binary, tmp_path):
    settings = {"dataset_dir": binary, "output_dir": tmp_path / "run", "image_size": "[32,32]"}
    configs = f"train.yaml {PRESETS}"
    training = command("training", "medsegdiff", configs, **settings, minutes=5, iterations_per_epoch=1)
    assert commands.start(training).kill_after("epoch 1:") < 0
    text = commands.fails(command("training", "medsegdiff", configs, **settings, minutes=1, iterations_per_epoch=1))
    assert "belongs to an unfinished run with another config: minutes is 1, was 5" in text


def test_without_the_preset_of_its_network_nothing_is_trained(commands, binary, tmp_path):
    configs, where = "train.yaml presets/nnunet_train.yaml", {"dataset_dir": binary, "output_dir": tmp_path / "run"}
    text = commands.fails(command("training", "medsegdiff", configs, **where))
    assert "give presets/nnunet.yaml before presets/nnunet_train.yaml" in text


def test_pixels_that_nobody_labelled_are_ignored_in_training_and_scores(commands, write, tmp_path):
    def change(mask):
        return np.where(np.arange(len(mask))[:, None] < 8, 9, mask).astype(np.uint8)

    data = write(change)
    own = {"in_channels": 1, "reader::_target_": "noise2mask.data.reader.GreyReader", "image_size": "[32,32]"}
    own |= {"structures": "{'rim':[1],'cup':[2]}", "background": "[0]", "ignore": "[9]"}
    where = {"dataset_dir": data, "output_dir": tmp_path / "run", "minutes": 0.1, "iterations_per_epoch": 4}
    commands.run(command("training", "diffusiondci_segmentation", f"train.yaml {PRESETS}", **own, **where))
    raw = tmp_path / "run/nnunet/raw/Dataset001_noise2mask/dataset.json"
    assert json.loads(raw.read_text())["labels"] == {"background": 0, "rim": 1, "cup": 2, "ignore": 3}
    files = f"inference.yaml evaluate.yaml {tmp_path / 'run' / 'model.yaml'} presets/nnunet.yaml"
    scoring = {"dataset_dir": data, "model_file": tmp_path / "run/model.pt", "output_dir": tmp_path / "scores"}
    commands.run(command("evaluating", "diffusiondci_segmentation", files, **scoring, background="[0]", ignore="[9]"))
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert set(scores["structures"]) == {"rim", "cup"} and scores["classes"]["pooled"]["accuracy"] > 0.5


@pytest.mark.parametrize("dims", [2, 3])
def test_whole_volumes_are_trained_and_scored_by_the_short_commands(commands, write, tmp_path, dims):
    data = write(volume=True)
    settings = {"structures": "{'rim':[1],'cup':[2]}", "image_size": "[32,32]", "spatial_dims": dims, "axcodes": "null"}
    settings |= {"minutes": 0.1, "iterations_per_epoch": 4}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    where = ("--data", data, "--preset", "nnunet", "--layout", "folder")
    commands.run([*commands.command("train", "medsegdiff_v2", *where, "-o", tmp_path / "run"), *options])
    scoring = ("--data", data, "--layout", "folder", "-o", tmp_path / "scores", "--weights", tmp_path / "run/model.pt")
    commands.run(commands.command("evaluate", "medsegdiff_v2", *scoring))
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert scores["counts"]["images"] == 2 and scores["weights"] == sha256(tmp_path / "run/model.pt")
    configuration = load_plain(tmp_path / "run" / "model.pt")["configuration"]
    assert configuration == ("2d" if dims == 2 else "3d_fullres") and scores["structures"]["rim"]["means"]["dice"] > 0.2
