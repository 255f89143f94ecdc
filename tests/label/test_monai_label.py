"""Packaged bundles in MONAI Label's server: over REST they infer what the command line infers, and they train.

Several packages run side by side: each bundle, and a second one of the first with other settings and with code of its
own, so that a mix-up would show; one of them has two structures.
"""

import importlib.util
import json
import time

import nibabel as nib
import numpy as np
import pytest
import torch

from .conftest import LABELS, MODELS, PICTURES, Server, infer_by_command

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(importlib.util.find_spec("monailabel") is None, reason="needs MONAI Label: tox -e label"),
]


@pytest.fixture(scope="module")
def server(folder, packages, studies):
    server = Server(folder, "apps/monaibundle", studies, MODELS)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


# Inference


def test_all_models_are_offered_for_inference_and_training(server):
    info = json.loads(server.request("/info/"))
    assert set(MODELS) <= set(info["models"]) and set(MODELS) <= set(info["trainers"])
    for name in MODELS:
        assert list(info["models"][name]["labels"]) == list(LABELS[name])
        assert info["models"][name]["dimension"] == (3 if name == "medsegdiff_v2" else 2)


def test_the_masks_to_compare_say_something(expected):
    for name in MODELS:
        assert all(0.01 < (mask > 0).mean() < 0.9 for mask in expected[name].values())
        assert len(np.unique(expected[name]["volume"])) == 1 + len(LABELS[name])
    assert all((expected[MODELS[0]][stem] != expected[MODELS[1]][stem]).any() for stem in expected[MODELS[0]])


def test_pictures_are_segmented_as_by_the_command_line_whatever_came_before(server, expected):
    for _ in range(2):
        for stem in PICTURES:
            for name in MODELS:
                assert np.array_equal(server.mask(name, stem), expected[name][stem]), (name, stem)


def test_three_equal_channels_are_one(server):
    for name in MODELS:
        assert np.array_equal(server.mask(name, "rgb"), server.mask(name, "grey"))


def test_a_volume_comes_back_in_its_own_geometry(server, expected, inputs, tmp_path):
    source = nib.load(inputs / "volume.nii.gz")
    for name in [*MODELS, *MODELS]:
        (tmp_path / "mask.nii.gz").write_bytes(server.infer(name, "volume"))
        mask = nib.load(tmp_path / "mask.nii.gz")
        assert mask.shape == source.shape and np.allclose(mask.affine, source.affine, atol=1e-4)
        assert np.array_equal(mask.get_fdata(), expected[name]["volume"])


# Training


def state(package):
    content = torch.load(package / "models" / "model.pt", map_location="cpu", weights_only=True)
    return content.get("model", content)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pgdiffseg", {"run_id": "training"}),
        ("pgdiffseg", {}),
        ("pgdiffseg", {"run_id": ""}),
        ("medsegdiff", {}),
    ],
    ids=["training", "default", "empty", "medsegdiff"],
)
def test_training_starts_from_the_weights_and_writes_new_ones(server, packages, name, options):
    package = packages[name]
    before = state(package)
    server.train(name, options, "?run_sync=true")
    after = state(package)
    largest = max(before, key=lambda name: before[name].numel())
    assert not torch.equal(before[largest], after[largest])
    assert torch.cosine_similarity(before[largest].flatten(), after[largest].flatten(), dim=0) > 0.9
    assert list(package.glob("runs/train_*/last.pt"))


def test_training_in_the_background_is_done_with_the_code_of_its_own_package(server, packages):
    before = state(packages["pgdiffseg_copy"])
    server.train("pgdiffseg_copy", {})
    while (task := json.loads(server.request("/train/")))["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(0.5)
    assert task["status"] == "DONE", server.text()
    after = state(packages["pgdiffseg_copy"])
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_new_weights_are_used_at_once(server, packages, expected, inputs, folder):
    now = infer_by_command(packages["pgdiffseg"], inputs, folder / "by_trained")
    for stem in PICTURES:
        assert np.array_equal(server.mask("pgdiffseg", stem), now[stem])
    assert any((now[stem] != expected["pgdiffseg"][stem]).any() for stem in now)
