"""DiffusionDCI's generation by command: from slides to tiles, both trainings, images for masks, and their scores."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from noise2mask.data.datalist import datalist
from noise2mask.data.demo_tissue import write_demo
from noise2mask.data.normalised_tiles import write_normalised
from noise2mask.data.slide_colours import main as write_colours
from noise2mask.data.tiles import Cut, cut_slides
from noise2mask.explain.caption import BAR
from noise2mask.files import load_plain

from ..conftest import ROOT
from .runs import assert_equal_runs, options, scalars

pytestmark = pytest.mark.e2e
NAME = "diffusiondci_generation"
SIZE = "[16,16]"
ENCODER = {"reference_def::width": 8, "reference_def::embedding": 8, "image_size": SIZE, "smallest_crop": "[10,10]"}
SHORT = {"batch_size": 16, "epochs": 2, "val_interval": 1, "learning_rate": 2.0e-3, "normalise_colours": True}
QUICK = {"steps": 2, "progress": False}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Nine tiles of each of ten generated slides: seven to train, one to validate, two to test."""
    folder = tmp_path_factory.mktemp("tissue")
    cut = Cut(tile_size=64, stride=64, image_size=16, min_tissue=0.2, luminance=(0.0, 90.0))
    cut_slides(write_demo(folder / "slides", patients=10, seed=0), folder / "tiles", cut)
    write_colours([str(folder / "tiles"), "--luminance", "0", "90"])
    return folder / "tiles"


@pytest.fixture(scope="module")
def reference(commands, tiles, tmp_path_factory):
    """The output folder of the encoder's training."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    train = commands.command("train", NAME, "--config", "train_reference", "--data", tiles, "-o", folder)
    commands.run([*train, "--preset", "data/demo", *options(SHORT | ENCODER | {"epochs": 6}, "--set")])
    return folder


@pytest.fixture(scope="module")
def training(commands, tiles, reference):
    """The command that trains DSDM, without its output_dir."""
    where = {"dataset_dir": tiles, "reference_file": reference / "reference.pt"}
    return commands.bundle("training", "train.yaml data/demo.yaml", *options(where | SHORT), name=NAME)


@pytest.fixture(scope="module")
def trained(commands, training, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dsdm") / "run"
    commands.run([*training, "--output_dir", str(folder)])
    return folder


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    """Those of the training, with random ones where they began at zero: images depend on mask and reference."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    state = load_plain(trained / "model.pt")
    for name, value in state.items():
        if value.is_floating_point() and value.abs().max() < 0.02 and not name.startswith("reference_encoder"):
            torch.nn.init.normal_(value, std=0.3)
    torch.save(state, folder / "model.pt")
    shutil.copy(trained / "model.yaml", folder / "model.yaml")
    return folder / "model.pt"


@pytest.fixture
def generate(commands, tiles, weights):
    """generate(output, settings): `noise2mask generate` for the test tiles' masks."""

    def command(output, masks=tiles, **settings):
        how = ["--references", tiles, "-o", output, "--section", "testing", "--weights", weights]
        return commands.command("generate", NAME, masks, *how, *options(QUICK | settings, "--set"))

    return command


def images_of(folder):
    return {path.name: np.asarray(Image.open(path)) for path in sorted((folder / "images").iterdir())}


def assert_same(folder, expected, atol=0):
    ours, theirs = images_of(folder), images_of(expected)
    assert list(ours) == list(theirs)
    assert all(np.abs(image.astype(int) - theirs[name]).max() <= atol for name, image in ours.items())


# Training


def test_both_trainings_lower_their_loss_and_the_encoder_goes_with_the_weights(reference, trained):
    loss = list(scalars(reference)["train_loss"].values())
    assert np.mean(loss[len(loss) // 2 :]) < np.mean(loss[: len(loss) // 2])
    found = scalars(trained)["target_explained"]
    assert list(found) == [1, 2] and 0 < found[1] < found[2] < 1
    encoder, whole = load_plain(reference / "reference.pt"), load_plain(trained / "model.pt")
    assert all(torch.equal(value, whole[f"reference_encoder.{name}"]) for name, value in encoder.items())


def test_killed_and_resumed_has_the_losses_of_an_uninterrupted_run(commands, training, trained, tmp_path):
    command = [*training, "--output_dir", str(tmp_path)]
    assert commands.start(command).kill_after("epoch 0 until 1 epochs") == -9  # a validation begins
    commands.run(command)
    assert_equal_runs(tmp_path, trained)
    assert scalars(tmp_path)["train_loss"] == scalars(trained)["train_loss"]


def test_without_its_pictures_the_training_is_the_same_to_the_last_bit(commands, training, trained, tmp_path):
    handlers = yaml.safe_load((ROOT / "bundles" / NAME / "configs" / "train.yaml").read_text())["validate"]["handlers"]
    number = [own["_target_"].rsplit(".")[-1] for own in handlers].index("GenerationProgress")
    commands.run([*training, "--output_dir", str(tmp_path), f"--validate::handlers::{number}::_disabled_", "True"])
    assert not (tmp_path / "progress.png").exists() and Image.open(trained / "progress.png").size == (656, 656 + BAR)
    assert_equal_runs(tmp_path, trained)
    assert scalars(tmp_path) == scalars(trained)


def test_two_processes_train(commands, tiles, reference, tmp_path):
    contrast = commands.command(
        "train", NAME, "--config", "train_reference", "--data", tiles, "-o", tmp_path / "encoder"
    )
    settings = SHORT | ENCODER | {"epochs": 1, "batch_size": 8}
    commands.torchrun([*contrast, "--preset", "data/demo", *options(settings, "--set")])
    views = list(scalars(tmp_path / "encoder")["views_found"].values())
    assert len(views) == 1 and 0 <= views[0] <= 1
    encoder = load_plain(tmp_path / "encoder" / "reference.pt")
    assert encoder.keys() == load_plain(reference / "reference.pt").keys()  # without the wrapper's names
    own = {"dataset_dir": tiles, "output_dir": tmp_path, "reference_file": tmp_path / "encoder" / "reference.pt"}
    configs = "train.yaml data/demo.yaml multi_gpu_train.yaml"
    commands.torchrun(commands.bundle("training", configs, *options(own | SHORT | {"epochs": 1}), name=NAME))
    whole = load_plain(tmp_path / "model.pt")
    assert all(torch.equal(value, whole[f"reference_encoder.{name}"]) for name, value in encoder.items())
    assert list(scalars(tmp_path)["target_explained"]) == [1] and (tmp_path / "progress.png").is_file()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"structures": "{'benign':[1]}"}, "holds the values 0, 1, 2; expected 0, 1: correct structures"),
        ({"reference_file": "none.pt"}, "none.pt does not exist"),
        ({"reference_file": "$None"}, "The reference encoder is not trained: name reference_file"),
        ({"network_def::reference_encoder::width": 4}, "does not fit the network"),
        ({"image_size": "[15,15]"}, r"has size (15, 15), expected multiples of 2"),
        ({"dropout::both": 0.9}, "expected probabilities whose sum is at most 1"),
    ],
)
def test_what_can_not_be_trained_is_said_before(commands, training, tmp_path, settings, words):
    assert words in commands.fails([*training, "--output_dir", str(tmp_path), *options(settings)])
    assert not [*tmp_path.glob("*.pt")]


# Generation


def test_what_is_generated_is_a_data_set_to_train_on(commands, generate, tiles, tmp_path):
    told = commands.run(generate(tmp_path, samples=2))
    masks = datalist(tiles, "testing")
    items = datalist(tmp_path, "testing")
    assert len(items) == 2 * len(masks) and f"{len(items)} images" in told
    assert {item["slide"] for item in items} <= {item["slide"] for item in datalist(tiles, "training")}
    rows = list(csv.DictReader((tmp_path / "manifest.csv").open()))
    assert int(rows[1]["seed"]) == int(rows[0]["seed"]) + 1 and {row["split"] for row in rows} == {"test"}
    assert len({row["seed"] for row in rows}) == len(rows)  # no two images share their noise
    given = {item["image"].rsplit("/", 1)[1]: np.asarray(Image.open(item["label"])) for item in masks}
    for row in rows:
        mask = np.asarray(Image.open(tmp_path / "masks" / row["image"]))
        assert np.array_equal(mask, given[row["mask"]])
    assert (tmp_path / "generated.png").is_file()
    found = images_of(tmp_path)
    assert next(iter(found.values())).shape == (16, 16, 3) and len({image.tobytes() for image in found.values()}) > 2


def test_an_interrupted_generation_goes_on_and_a_finished_one_does_nothing(commands, generate, tmp_path):
    commands.run(generate(tmp_path / "whole"))
    slow = generate(tmp_path / "cut", masks_at_once=1)
    commands.start(slow).kill_after("written: ")
    done = [*(tmp_path / "cut" / "records").iterdir()]
    commands.run(generate(tmp_path / "cut"))
    assert json.loads((tmp_path / "cut" / "report.json").read_text())["finished_earlier"] == len(done) > 0
    assert_same(tmp_path / "cut", tmp_path / "whole", atol=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole" / "images").iterdir()}
    commands.run(generate(tmp_path / "whole"))
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "whole" / "images").iterdir()}


def test_conditions_guidance_and_seed_change_the_images(commands, generate, tmp_path):
    changes = [{}, {"conditions": "mask"}, {"guidance_scale": 0.0, "seed": 1}]
    for number, change in enumerate(changes):
        commands.run(generate(tmp_path / str(number), **change))
    first = [next(iter(images_of(tmp_path / str(number)).values())).tobytes() for number in range(len(changes))]
    assert len(set(first)) == len(changes)
    assert json.loads((tmp_path / "1" / "report.json").read_text())["sampling"]["conditions"] == "mask"


def test_two_processes_generate_what_one_does(commands, generate, tmp_path):
    commands.run(generate(tmp_path / "one"))
    for process in commands.ranks(generate(tmp_path / "two")):
        assert process.wait() == 0, process.text
    assert_same(tmp_path / "two", tmp_path / "one", atol=1)
    assert len(datalist(tmp_path / "two", "testing")) == len(datalist(tmp_path / "one", "testing"))


def test_a_folder_of_masks_and_one_reference_of_another_size_will_do(commands, generate, weights, tiles, tmp_path):
    shutil.copytree(tiles / "masks", tmp_path / "masks")
    for path in sorted((tmp_path / "masks").iterdir())[3:]:
        path.unlink()
    tile = datalist(tiles, "training")[0]["image"]
    Image.open(tile).resize((40, 24)).save(tmp_path / "style.png")
    how = ["--references", tmp_path / "style.png", "-o", tmp_path / "out", "--weights", weights]
    command = commands.command("generate", NAME, tmp_path / "masks", *how, *options(QUICK, "--set"))
    process = commands.start(command)  # the weights want normalised colours, which a single picture has not
    assert process.wait() == 2 and "slide_colours.json holds no colours of slides" in process.text
    commands.run([*command, "--set", "normalise_colours=false"])
    assert len(datalist(tmp_path / "out", "training")) == 3


def test_all_bad_masks_and_references_are_named_at_once(commands, generate, tiles, weights, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / "masks" / "seven.png")
    (tmp_path / "masks" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "style.png").write_bytes((next((tiles / "images").iterdir())).read_bytes()[:100])
    how = ["--references", tmp_path / "style.png", "-o", tmp_path / "out", "--weights", weights]
    process = commands.start(commands.command("generate", NAME, tmp_path / "masks", *how))
    assert process.wait() == 2 and all(name in process.text for name in ("seven.png", "broken.png", "style.png"))
    assert not (tmp_path / "out" / "images").exists()


def test_it_segments_nothing_and_others_generate_nothing(commands, tiles, weights, tmp_path):
    segment = commands.start(commands.command("segment", NAME, tiles / "images", "-o", tmp_path, "--weights", weights))
    assert segment.wait() == 2 and "makes images and segments none: use noise2mask generate" in segment.text
    other = commands.start(commands.command("generate", "pgdiffseg", tiles, "--references", tiles, "-o", tmp_path))
    assert other.wait() == 2 and "pgdiffseg makes no images" in other.text


def test_the_way_from_noise_to_an_image_is_shown(commands, tiles, weights, tmp_path):
    where = {"input": tiles, "references": tiles, "section": "testing", "output_dir": tmp_path, "model_file": weights}
    configs = f"inference.yaml explain.yaml {weights.with_suffix('.yaml')}"
    settings = {"steps": 3, "most_cases": 2, "progress": False}
    commands.run(commands.bundle("explaining", configs, *options(where | settings), name=NAME))
    rows = list(csv.DictReader((tmp_path / "sampling.csv").open()))
    masks = list(dict.fromkeys(row["mask"] for row in rows))
    assert [(row["mask"], row["timestep"]) for row in rows] == [(m, t) for m in masks for t in ("999", "666", "332")]
    assert len(masks) == 2 and rows[2]["rmse"] == "0.0" < rows[1]["rmse"]
    files = {f"sampling_{mask}.{ending}" for mask in masks for ending in ("png", "gif")}
    assert {path.name for path in tmp_path.iterdir()} == files | {"sampling.csv"}


# Scores


def test_evaluation_scores_what_it_generates(commands, tiles, weights, tmp_path):
    evaluate = commands.command("evaluate", NAME, "--data", tiles, "--weights", weights, "-o", tmp_path)
    commands.run([*evaluate, *options(QUICK | {"samples": 2}, "--set")])
    scores = json.loads((tmp_path / "generation_scores.json").read_text())
    assert scores["extractor"]["name"] == "own contrastive encoder"
    masks = len(datalist(tiles, "testing"))
    assert scores["counts"]["masks"] == masks and scores["counts"]["samples"] == 2
    assert scores["frechet_distance"]["generated"] > scores["frechet_distance"]["training"] > 0
    nearest = list(csv.DictReader((tmp_path / "nearest_tiles.csv").open()))
    assert len(nearest) == 2 * masks and (tmp_path / "nearest_tiles.png").is_file()
    # What is generated already is scored, in two processes: a training tile, turned, in the place of an image is found
    write_normalised(tiles, tmp_path / "normalised")
    copied = Path(datalist(tmp_path / "normalised", "training")[4]["image"])
    place = tmp_path / "images" / nearest[3]["generated"]
    Image.open(copied).rotate(90).save(place)
    for process in commands.ranks([*evaluate, *options(QUICK | {"samples": 2}, "--set")]):
        assert process.wait() == 0, process.text
    found = {row["generated"]: row["training"] for row in csv.DictReader((tmp_path / "nearest_tiles.csv").open())}
    assert found[place.name] == copied.name
