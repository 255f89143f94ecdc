"""The report of a real training, evaluation and segmentation, by the commands."""

import json
import re
import shutil

import pytest
from PIL import Image

from noise2mask.digest import sha256

from ..test_readme import blocks_of, run_block
from .test_page import embedded, names

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def scored(commands, demo, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "scores"
    options = ("--data", demo, "-o", folder, "--weights", trained / "model.pt", "--set", "samples=2")
    commands.run(commands.command("evaluate", "pgdiffseg", *options))
    return folder


def test_scores_say_which_bundle_weights_versions_and_device_made_them(scored, trained):
    scores = json.loads((scored / "scores.json").read_text())
    assert scores["bundle"] == {"name": "pgdiffseg", "title": "PGDiffSeg", "version": "0.1.0"}
    assert scores["weights"] == sha256(trained / "model.pt") and scores["device"] == "cpu"
    assert "torch" in scores["versions"] and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", scores["date"])


def test_an_evaluation_and_its_training_are_one_page(commands, scored, trained, tmp_path):
    said = commands.run(commands.command("report", scored, trained, "-o", tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert "report.html" in said and len(names(text)) == 3 and "train_loss" in text and "From the card" in text
    for case in embedded(text).values():
        assert case["layers"]["samples"] == 2 and case["layers"]["timesteps"] == [999, 499] and not case["missing"]
        width, height = Image.open(case["path"]).size
        assert case["layers"]["spacing"] == pytest.approx([1, width / height])  # the network's 16 x 16 drawn as it was


@pytest.fixture(scope="module")
def masks(commands, demo, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "masks"
    options = ("-o", folder, "--weights", trained / "model.pt", "--samples", 2)
    commands.run(commands.command("segment", "pgdiffseg", min((demo / "images").iterdir()), *options))
    return folder


def test_a_segmentation_has_pictures_without_scores(commands, demo, masks, tmp_path):
    image = min((demo / "images").iterdir())
    commands.run(commands.command("report", masks, "-o", tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert names(text) == [image.name] and embedded(text)[0]["layers"] and "These images have no labels" in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="the blocks are for bash")
def test_the_blocks_of_the_page_on_reports_do_what_it_says(scored, trained, masks, tmp_path):
    for name, folder in (("my_scores", scored), ("my_run", trained), ("my_masks", masks)):
        shutil.copytree(folder, tmp_path / name)
    for language, code in blocks_of("docs/how-to/report.md"):
        run_block(language, code, tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    assert {name: len(names(text)) for name, text in made.items()} == {
        "report.html": 3,
        "training.html": 0,
        "masks.html": 1,
    }


def test_a_folder_without_results_is_refused_by_one_line(commands, tmp_path):
    process = commands.start(commands.command("report", tmp_path, "-o", tmp_path / "report.html"))
    assert process.wait() == 2 and "is empty; expected scores.json" in process.text
    assert "Traceback" not in process.text and not (tmp_path / "report.html").exists()
