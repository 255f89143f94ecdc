"""Code blocks of the README, and of the page for users of MedSegDiff's public code, do what they promise.

They run in a copy of the checkout, in their order and in one folder.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDERS = ("bundles", "benchmarks", "common", "docs", "tests")
INSTALLS = re.compile(r"pip install|\btox\b")  # blocks that make environments: checked, not run
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    "PYTHONPATH": str(ROOT / "common"),  # stands for the installation
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
}


def blocks_of(page):
    return re.findall(r"^```(bash|python)\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


BLOCKS = blocks_of("README.md")

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("bash") is None, reason="the blocks are for bash")]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project's own files."""
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
        elif path.name in FOLDERS:
            shutil.copytree(path, tmp_path / path.name, ignore=shutil.ignore_patterns("__pycache__", ".*", "runs"))
    return tmp_path


@pytest.fixture(scope="module")
def tox():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini", encoding="utf-8")
    return config


def run_block(language, code, folder):
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=500)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def check_masks(folder, images):
    """Every image has its files, in its size; the most uncertain case comes first in the report."""
    cases = json.loads((folder / "report.json").read_text())["cases"]
    assert [case["triage"] for case in cases] == sorted((case["triage"] for case in cases), reverse=True)
    assert {Path(case["image"]).name for case in cases} == {path.name for path in images.iterdir()}
    for case in cases:
        assert json.loads((folder / f"{Path(case['image']).stem}.json").read_text()) == case
        mask, probability, std, preview = (Image.open(folder / name) for name in case["files"])
        assert mask.size == probability.size == std.size == Image.open(images / Path(case["image"]).name).size
        assert set(np.unique(mask)) <= {0, 255} and np.asarray(mask).astype(bool).sum() == case["pixels"]
        assert np.asarray(preview).std() > 0


def settings_and_mask(checkout, run_folder, masks):
    """Of a training and the one image that was segmented with it: model.yaml, and the mask, in the image's size."""
    (case,) = json.loads((checkout / masks / "report.json").read_text())["cases"]
    mask = Image.open(checkout / masks / case["files"][0])
    assert mask.size == Image.open(checkout / case["image"]).size and set(np.unique(mask)) <= {0, 255}
    assert (checkout / run_folder / "model.pt").is_file()
    return (checkout / run_folder / "model.yaml").read_text(), mask.tobytes()


def check_scores(folder):
    """Means of what stands in cases.csv, with what they were made from."""
    scores = json.loads((folder / "scores.json").read_text())
    assert {"dice", "dice_lesion", "iou"} <= set(scores["means"])
    assert all(0 <= value <= 1 for name, value in scores["means"].items() if name != "hd95")
    lines = (folder / "cases.csv").read_text().splitlines()
    assert len(lines) == scores["counts"]["images"] + 1 and lines[0].startswith("image,")
    assert {"policy", "sampling", "config"} <= set(scores)


def check_package(folder):
    """One zip with one folder, whose hashes are listed."""
    (path,) = folder.glob("pgdiffseg_v*.zip")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert archive.testzip() is None and {name.split("/")[0] for name in names} == {"pgdiffseg"}
        assert {f"pgdiffseg/{name}" for name in ("models/model.pt", "configs/inference.json", "LICENSE")} <= set(names)
        assert len(archive.read("pgdiffseg/SHA256SUMS").splitlines()) == len(names) - 1


@pytest.mark.slow
def test_the_blocks_of_the_readme_do_what_it_says(checkout):
    for language, code in BLOCKS:
        if not INSTALLS.search(code):
            run_block(language, code, checkout)
    assert (checkout / "my_run" / "model.pt").is_file() and (checkout / "my_run" / "last.pt").is_file()
    check_scores(checkout / "my_scores")
    check_masks(checkout / "my_masks", checkout / "my_data" / "images")
    check_masks(checkout / "my_masks_again", checkout / "my_data" / "images")
    check_package(checkout / "my_package")


@pytest.mark.slow
def test_three_commands_train_medsegdiff_on_own_images_and_segment_as_monai_alone_does(checkout):
    blocks = blocks_of("docs/how-to/from_medsegdiff.md")
    assert len(blocks) == 3  # the data, the commands, the same by MONAI alone
    for language, code in blocks:
        run_block(language, code, checkout)
    ours = settings_and_mask(checkout, "my_run", "my_masks")
    assert ours == settings_and_mask(checkout, "my_plain_run", "my_plain_masks")


@pytest.mark.slow
def test_slides_are_cut_into_tiles_with_their_colours_as_the_page_says(checkout):
    for language, code in blocks_of("docs/how-to/whole_slides.md"):
        run_block(language, code, checkout)
    content = json.loads((checkout / "my_tiles" / "datalist.json").read_text())
    assert sum(len(content[key]) for key in ("training", "validation", "testing")) == 3 * 9
    assert set(json.loads((checkout / "my_tiles" / "slide_colours.json").read_text())["slides"]) == {"a", "b", "c"}


@pytest.mark.slow
def test_the_figures_of_the_page_are_what_its_commands_write(checkout):
    for language, code in blocks_of("docs/how-to/explain.md"):
        run_block(language, code, checkout)
    page = (ROOT / "docs/how-to/explain.md").read_text(encoding="utf-8")
    shown = re.findall(r"\]\(\.\./pictures/explain/(.+?)\)", page)
    written = {path.name for path in (checkout / "my_figures").rglob("*")}
    assert len(shown) > 10 and set(shown) <= written
    tables = {"attention", "prior", "spectrum", "sampling", "compare", "uncertainty", "reliability", "triage"}
    assert {f"{name}.csv" for name in tables} <= written


@pytest.mark.slow
def test_synthetic_tiles_are_filtered_and_judged_as_the_page_says(checkout):
    for language, code in blocks_of("docs/how-to/synthetic_tiles.md"):
        run_block(language, code, checkout)
    report = json.loads((checkout / "my_kept" / "filter.json").read_text())
    assert (report["tiles"], report["kept"]) == (40, 20) == (40, len(list((checkout / "my_kept/images").iterdir())))
    result = json.loads((checkout / "my_judgement" / "expert_study.json").read_text())
    assert result["tiles"] == {"real": 8, "synthetic": 8} and list(result["experts"]) == ["anna", "bert"]
    assert result["mean"]["class_real"] == 1


def test_the_environments_that_the_readme_names_do_what_it_says(tox):
    named = set(re.findall(r"tox -e (\w+)", "".join(code for _, code in BLOCKS)))
    assert named and all(f"testenv:{name}" in tox for name in named)
    environments = [name.strip() for name in tox["tox"]["env_list"].split(",")]
    assert environments == ["lint", "tests"]
    commands = "\n".join(tox[f"testenv:{name}"]["commands"] for name in environments)
    assert all(re.search(rf"\b{tool}\b", commands) for tool in ("ruff check", "ruff format --check", "mypy", "pytest"))


def test_blocks_that_are_not_run_only_install_or_start_tox():
    words = {line.strip() for _, code in BLOCKS if INSTALLS.search(code) for line in code.splitlines()}
    assert words == {
        "python -m pip install tox && tox -e demo",
        "python -m pip install tox && tox",
        'python -m pip install -c constraints.txt ".[cli]"',
    }
    assert (ROOT / "constraints.txt").is_file() and (ROOT / "setup.cfg").is_file()
