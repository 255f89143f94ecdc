"""Weights that ship are used as they were trained, and are what SHA256SUMS and the metadata say."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import noise2mask
from noise2mask.bundles import all_bundles
from noise2mask.data.demo import main as make_demo
from noise2mask.digest import PUBLISHED, sha256
from noise2mask.handlers.trained_on import images_file, read_images

ROOT = Path(__file__).parents[2]
SHIPPED = [bundle for bundle in all_bundles() if bundle.weights.is_file() and bundle.root.is_relative_to(ROOT)]
each = pytest.mark.parametrize("bundle", SHIPPED, ids=lambda bundle: bundle.name)


def test_there_are_some():
    assert "pgdiffseg" in [bundle.name for bundle in SHIPPED]


@each
def test_the_sums_list_every_file(bundle):
    folder = bundle.weights.parent
    lines = (folder / PUBLISHED).read_text().splitlines()
    listed = {name: digest for digest, name in map(str.split, lines)}
    files = {path.name for path in folder.iterdir()} - {PUBLISHED, "LICENSE"}
    assert listed == {name: sha256(folder / name) for name in files}


@each
def test_inference_is_set_to_what_they_were_trained_with(bundle):
    trained = yaml.safe_load(bundle.weights.with_suffix(".yaml").read_text())
    inference = yaml.safe_load(bundle.config("inference").read_text())
    assert trained == {name: inference[name] for name in trained} and {"image_size", "target"} <= set(trained)


@each
def test_they_come_with_terms_with_what_they_were_trained_on_and_with_scores(bundle):
    assert "research" in (bundle.weights.parent / "LICENSE").read_text()
    assert len(read_images(bundle.weights) or ()) > 100 and images_file(bundle.weights).stat().st_size < 2**20
    assert {"dice", "dice_lesion"} <= set(bundle.metadata["eval_metrics"])


@each
def test_they_answer_to_the_image(bundle, tmp_path):
    make_demo(["--output", str(tmp_path), "--patients", "4"])
    images = sorted((tmp_path / "images").iterdir())[:2]
    first, second = (noise2mask.segment(bundle.name, path, samples=2) for path in images)
    assert first.probability.max() > 0.5 and not np.allclose(first.probability, second.probability, atol=0.1)
    assert 0 <= first.triage <= 1 and first.mask.any()
