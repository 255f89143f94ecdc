"""DiffusionDCI's segmentation by command: from a generator's weights to masks of tiles and slides, and their scores."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image

from noise2mask.data.datalist import datalist
from noise2mask.data.demo_tissue import write_demo
from noise2mask.data.tiles import Cut, cut_slides
from noise2mask.files import load_plain
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.reference_encoder import ReferenceEncoder

from ..conftest import BUNDLES, TINY
from .runs import assert_as_evaluated, assert_equal_runs, options, scalars

pytestmark = pytest.mark.e2e
NAME = "diffusiondci_segmentation"
DSDM = {"base": 8, "multipliers": [1, 2], "blocks": 1, "attention_levels": [1], "token_sides": [2], "num_groups": 8}
DSDM |= {"head_channels": 32, "spade_hidden": 4}
SHORT = {"batch_size": 16, "epochs": 3, "val_interval": 1, "warmup": 4, "learning_rate": 5.0e-3}
CUT = Cut(tile_size=64, stride=64, image_size=16, min_tissue=0.2, luminance=(0.0, 90.0))


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("tissue") / "slides", patients=10, seed=0)


@pytest.fixture(scope="module")
def tiles(slides):
    """Nine tiles of each of ten generated slides: seven to train, one to validate, two to test."""
    cut_slides(slides, slides.parent / "tiles", CUT)
    return slides.parent / "tiles"


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """Weights of stage 1, as drawn."""
    torch.manual_seed(0)
    dsdm = DSDMWithReference(ReferenceEncoder(embedding=8, width=8), classes=3, **DSDM)
    path = tmp_path_factory.mktemp("generator") / "model.pt"
    torch.save(dsdm.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def training(commands, tiles, generator):
    """The command, without its output_dir."""
    where = {"dataset_dir": tiles, "generator_file": generator}
    return commands.bundle("training", "train.yaml data/demo.yaml", *options(where | SHORT), name=NAME)


@pytest.fixture(scope="module")
def trained(commands, training, tmp_path_factory):
    folder = tmp_path_factory.mktemp("segmenter") / "run"
    commands.run([*training, "--output_dir", str(folder)])
    return folder


def tiny():
    """Settings of the network that the weights of `generator` fit."""
    return {name: yaml.safe_load(value) for name, value in TINY[NAME].items()}


# Training


def test_training_lowers_the_loss_and_keeps_the_generator_as_it_is(trained, generator):
    loss = list(scalars(trained)["train_loss"].values())
    assert np.mean(loss[-3:]) < np.mean(loss[:3])
    assert list(scalars(trained)["dice"]) == [1, 2, 3]
    whole = load_plain(trained / "model.pt")
    assert all(torch.equal(value, whole[f"dsdm.{name}"]) for name, value in load_plain(generator).items())
    assert not torch.equal(whole["trunk.stem.weight"], whole["dsdm.stem.weight"])
    assert "timestep: 200" in (trained / "model.yaml").read_text()
    assert Image.open(trained / "progress.png").width > 400


def test_killed_and_resumed_has_the_losses_of_an_uninterrupted_run(commands, training, trained, tmp_path):
    command = [*training, "--output_dir", str(tmp_path)]
    assert commands.start(command).kill_after("Epoch[1] Complete") == -9
    commands.run(command)
    assert_equal_runs(tmp_path, trained)
    assert scalars(tmp_path)["train_loss"] == scalars(trained)["train_loss"]


def test_two_processes_train_and_segment_slides(commands, slides, tiles, generator, tmp_path):
    settings = {"dataset_dir": tiles, "generator_file": generator, "output_dir": tmp_path} | SHORT | {"epochs": 1}
    configs = "train.yaml data/demo.yaml multi_gpu_train.yaml"
    commands.torchrun(commands.bundle("training", configs, *options(settings), name=NAME))
    assert (tmp_path / "model.pt").is_file() and list(scalars(tmp_path)["dice"]) == [1]
    (tmp_path / "in").mkdir()
    for picture in sorted((slides / "images").iterdir())[:2]:
        shutil.copy(picture, tmp_path / "in")
    segment = commands.command("segment", NAME, tmp_path / "in", "-o", tmp_path / "out", "--tile-size", "64")
    commands.torchrun([*segment, "--weights", str(tmp_path / "model.pt"), "--preset", "data/demo", "--samples", "1"])
    rows = csv.DictReader((tmp_path / "out" / "classes.csv").open())
    assert [row["slide"] for row in rows] == ["slide_000.png"] * 3 + ["slide_001.png"] * 3


def test_other_rows_of_the_ablation_are_trained_and_scored_on_labelled_pixels(commands, slides, generator, tmp_path):
    """Of tiles whose padding nobody labelled."""
    cut_slides(slides, tmp_path / "tiles", replace(CUT, stride=48, ignore=255))
    where = {"bundle_root": BUNDLES / NAME, "dataset_dir": tmp_path / "tiles", "output_dir": tmp_path / "out"}
    settings = {"generator_file": str(generator), "ignore": [255], **SHORT, "epochs": 1} | tiny()
    rows = {"skip": {"network_def::fusion": "skip"}, "no features": {"network_def::fusion": "none"}}
    own = where | {"overlays": ["data/demo"], "settings": settings, "rows": rows}
    config = ["--config_file", str(BUNDLES / NAME / "configs" / "ablation.yaml")]
    commands.run(["-m", "monai.bundle", "run", "ablating", *config, *options(own)])
    assert "| skip | " in (tmp_path / "out" / "ablation.md").read_text()
    masks = [np.asarray(Image.open(item["label"])) for item in datalist(tmp_path / "tiles", "validation")]
    for name in ("skip", "no_features"):
        lines = list(csv.DictReader((tmp_path / "out" / name / "validation" / "cases.csv").open()))
        scored = sum(int(line["tp"]) + int(line["fn"]) for line in lines)
        assert scored == sum(int((mask != 255).sum()) for mask in masks) < sum(mask.size for mask in masks)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"generator_file": "$None"}, "DSDM is not trained: name generator_file"),
        ({"network_def::dsdm::base": 16}, "model.pt does not fit the network"),
        ({"structures": "{'benign':[1]}"}, "holds the values 0, 1, 2; expected 0, 1: correct structures"),
        ({"structures": "{'benign':[1],'malignant':[2],'other':[3]}"}, "other"),
        ({"network_def::entries": "[7]"}, "Decoder entries are 0 to 3, found [7]"),
        ({"timestep": 1000}, "timestep is 1000, expected 0 to 999"),
        ({"image_size": "[15,15]"}, "has size (15, 15), expected multiples of 2"),
    ],
)
def test_what_can_not_be_trained_is_said_before(commands, training, tmp_path, settings, words):
    assert words in commands.fails([*training, "--output_dir", str(tmp_path), *options(settings)])
    assert not [*tmp_path.glob("*.pt")]


# Tiles


def test_tiles_are_segmented_with_their_uncertainty(commands, tiles, trained, tmp_path):
    (tmp_path / "in").mkdir()
    for item in datalist(tiles, "testing")[:3]:
        shutil.copy(item["image"], tmp_path / "in")
    segment = commands.command("segment", NAME, tmp_path / "in", "-o", tmp_path, "--weights", trained / "model.pt")
    told = commands.run([*segment, "--samples", "3"])
    report = json.loads((tmp_path / "report.json").read_text())
    assert "3 cases" in told and report["sampling"]["timestep"] == 200 and report["sampling"]["samples"] == 3
    for case in report["cases"]:
        label = np.asarray(Image.open(tmp_path / case["files"][0]))
        assert label.shape == (16, 16) and set(np.unique(label)) <= {0, 1, 2}
    assert "finished earlier" in commands.run([*segment, "--samples", "3"])


def test_evaluation_and_the_first_row_of_the_robustness_study_score_all_classes(commands, tiles, trained, tmp_path):
    evaluate = commands.command("evaluate", NAME, "--data", tiles, "--weights", trained / "model.pt", "-o", tmp_path)
    commands.run([*evaluate, "--preset", "data/demo", "--set", f"features_dir={tmp_path / 'features'}"])
    assert len(list((tmp_path / "features").glob("*.pt"))) == 4 * len(datalist(tiles, "testing"))  # of four views
    scores = json.loads((tmp_path / "scores.json").read_text())
    counts = {}
    for row in csv.DictReader((tmp_path / "cases.csv").open()):
        counts.setdefault(row["structure"], []).append([int(row[key]) for key in ("tp", "fp", "fn")])
    assert list(counts) == ["benign", "malignant", "background"] and list(scores["structures"]) == [
        "benign",
        "malignant",
    ]
    tp, fp, fn = np.array([np.sum(own, axis=0) for own in counts.values()]).T
    pooled, iou = scores["classes"]["pooled"], tp / (tp + fp + fn)
    assert pooled["accuracy"] == pytest.approx(tp.sum() / (tp + fn).sum())
    assert pooled["iou"] == pytest.approx(iou[:2].mean()) and pooled["iou_with_background"] == pytest.approx(iou.mean())
    configs = "inference.yaml evaluate.yaml data/demo.yaml robustness_study.yaml"
    study = {"dataset_dir": tiles, "model_file": trained / "model.pt", "output_dir": tmp_path / "study"}
    study |= {"study_noise": "[0.5]", "study_blur": "[]", "study_contrast": "[]", "study_crop": "[0.5]"}
    study["flips"] = "[[],[0],[1],[0,1]]"  # as model.yaml, which the command above takes by itself
    commands.run(commands.bundle("studying", configs, *options(study), name=NAME))
    first, *others = csv.DictReader((tmp_path / "study" / "robustness_study.csv").open())
    assert_as_evaluated(first, scores)
    assert [row["corruption"] for row in others] == ["noise", "crop"] and first["dice"] != others[0]["dice"]


# Studies


def test_the_probe_has_a_row_for_every_block_and_timestep_and_a_heat_map(commands, tiles, generator, tmp_path):
    where = {"dataset_dir": tiles, "generator_file": generator, "output_dir": tmp_path}
    short = {"images": "[16,4]", "timesteps": "[100,999]", "epochs": 2}
    own = where | short | {"oracle_mask": True}
    commands.run(commands.bundle("probing", "train.yaml data/demo.yaml probe.yaml", *options(own), name=NAME))
    rows = list(csv.DictReader((tmp_path / "probe_oracle_mask.csv").open()))
    places = {(int(row["block"]), int(row["timestep"])) for row in rows}
    assert places == {(block, timestep) for block in range(4) for timestep in (100, 999)}
    assert all(0 <= float(row["miou_with_background"]) <= 1 for row in rows)
    assert Image.open(tmp_path / "probe_oracle_mask.png").width > 300


def test_generated_tiles_are_added_to_real_ones_and_real_ones_are_scored(commands, tiles, generator, tmp_path):
    some = {key: datalist(tiles, key)[:9] for key in ("training", "validation", "testing")}
    (tmp_path / "some.json").write_text(json.dumps(some))
    stage_1 = "diffusiondci_generation"
    where = [tmp_path / "some.json", "--references", tiles, "-o", tmp_path / "pool", "--weights", generator]
    commands.run(commands.command("generate", stage_1, *where, "--preset", "data/demo", "--steps", "1", tiny=stage_1))
    settings = {"generator_file": str(generator), **SHORT, "epochs": 2} | tiny()
    study = {"bundle_root": BUNDLES / NAME, "dataset_dir": tmp_path / "some.json", "pool": tmp_path / "pool"}
    study |= {"output_dir": tmp_path / "out", "overlays": ["data/demo"], "ratios": [100], "runs": 1}
    config = ["--config_file", str(BUNDLES / NAME / "configs" / "ratio_study.yaml")]
    commands.run(["-m", "monai.bundle", "run", "studying", *config, *options(study | {"settings": settings})])
    (row,) = csv.DictReader((tmp_path / "out" / "ratio_study.csv").open())
    assert (row["real_tiles"], row["generated_tiles"]) == ("9", "9")
    scores = json.loads((tmp_path / "out" / "100_run_0" / "testing" / "scores.json").read_text())
    assert scores["counts"]["images"] == 9 and float(row["accuracy"]) == scores["classes"]["pooled"]["accuracy"]


# Slides


def test_a_slide_is_segmented_as_its_tiles(commands, slides, tiles, trained, tmp_path):
    picture = sorted((slides / "images").iterdir())[0]
    weights = ["--weights", trained / "model.pt", "--preset", "data/demo", "--samples", "1"]
    slide = commands.command("segment", NAME, picture, "-o", tmp_path / "slide", "--tile-size", "64", *weights)
    told = commands.run([*slide, *options({"stride": 64, "luminance": "[0,90]"}, "--set")])
    assert "classes.csv" in told
    with tifffile.TiffFile(tmp_path / "slide" / f"{picture.stem}_mask.tif") as file:
        whole = file.series[0].levels[0].asarray()
    names = sorted((tiles / "images").glob(f"{picture.stem}_*.png"))[:3]
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(name, tmp_path / "in")
    commands.run(commands.command("segment", NAME, tmp_path / "in", "-o", tmp_path / "tiles", *weights))
    for name in names:
        top, left = (int(part[1:]) for part in name.stem.split("_")[-2:])
        label = np.asarray(Image.open(next((tmp_path / "tiles").glob(f"{name.stem}_mask.png"))))
        own = whole[top : top + 64, left : left + 64]
        high, wide = own.shape
        assert (own == np.kron(label, np.ones((4, 4)))[:high, :wide]).mean() > 0.99
    rows = list(csv.DictReader((tmp_path / "slide" / "classes.csv").open()))
    assert [row["class"] for row in rows] == ["background", "benign", "malignant"]
    assert sum(int(row["pixels"]) for row in rows) == whole.size


def test_a_slide_that_can_not_be_read_and_a_bundle_without_slides_are_refused(commands, trained, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"no picture")
    slide = ["segment", NAME, tmp_path / "a.tif", "-o", tmp_path / "out", "--tile-size", "64"]
    process = commands.start(commands.command(*slide, "--weights", trained / "model.pt"))
    assert process.wait() == 2 and "a.tif can not be read" in process.text
    other = commands.start(commands.command("segment", "medsegdiff", *slide[2:]))
    assert other.wait() == 2 and "slides" in other.text
