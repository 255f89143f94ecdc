"""A training stands beside results of its own weights, or the page says that it does not."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from noise2mask.digest import sha256
from noise2mask.report.sources import read_sources
from noise2mask.report.training import MOST_SIDE, belonging, shown_training

from .results import training

NETWORK = "noise2mask.networks.pgdiffseg.PGDiffSeg"


@pytest.fixture
def run(tmp_path):
    """The folder of a training with weights and settings."""
    (tmp_path / "model.pt").write_bytes(b"weights")
    (tmp_path / "model.yaml").write_text(f"network_def: {{_target_: {NETWORK}}}\n")
    return training(tmp_path)


def read(folder):
    return read_sources([folder])[1][0]


def test_results_of_its_best_weights_are_said_to_be_so(run):
    facts = {"weights": sha256(run / "model.pt"), "config": {"network_def::_target_": f"'{NETWORK}'"}}
    assert belonging(read(run), facts) == ("These results were made with this training's best weights.", [])


def test_results_of_other_weights_and_of_another_network_are_warned_of(run):
    facts = {"weights": "0" * 64, "config": {"network_def::_target_": "'noise2mask.networks.dsdm.DSDM'"}}
    same, (network, weights) = belonging(read(run), facts)
    assert not same and "another network (PGDiffSeg) than these results (DSDM)" in network
    assert weights == "These results were made with other weights than this training's best."


def test_where_one_of_them_does_not_say_its_weights_that_is_told(run):
    assert "the results do not say which weights" in belonging(read(run), {})[1][0]
    (run / "model.pt").unlink()
    (run / "model.yaml").write_text("a: [")
    assert "model.pt" in belonging(read(run), {"weights": "0" * 64})[1][0]


def test_without_results_nothing_is_said_of_them(run):
    found = shown_training(read(run), None)
    assert found["same"] == "" and found["warnings"] == [] and len(found["charts"]) == 2


def test_a_large_progress_picture_is_reduced_and_a_damaged_one_is_named(run):
    Image.fromarray(np.zeros((3000, 1500, 3), np.uint8)).save(run / "progress.png")
    picture = shown_training(read(run), None)["picture"]
    small = Image.open(io.BytesIO(base64.b64decode(picture.removeprefix("data:image/webp;base64,"))))
    assert small.size == (MOST_SIDE // 2, MOST_SIDE)
    content = (run / "progress.png").read_bytes()
    for broken in (b"PNG", content[: len(content) // 2]):
        (run / "progress.png").write_bytes(broken)
        found = shown_training(read(run), None)
        assert found["picture"] == "" and "progress.png is damaged" in found["warnings"][0]
