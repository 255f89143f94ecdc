"""Weights that ship are used as they were trained, and are what SHA256SUMS and the metadata say."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import noise2mask
from noise2mask.bundles import all_bundles
from noise2mask.data.demo import main as make_demo
from noise2mask.data.demo_tissue import write_demo as write_tissue
from noise2mask.digest import PUBLISHED, check_published, sha256
from noise2mask.handlers.trained_on import images_file, read_images
from noise2mask.terms import restriction

ROOT = Path(__file__).parents[2]
SHIPPED = [bundle for bundle in all_bundles() if bundle.weights.is_file() and bundle.root.is_relative_to(ROOT)]
SEGMENTING = [bundle for bundle in SHIPPED if not bundle.generates]
GENERATING = [bundle for bundle in SHIPPED if bundle.generates]
# Results beside a card, and the weights that they are of
SCORED = [
    ("pgdiffseg", "shipped", "model"),
    ("pgdiffseg", "shipped_temperature_1", "model"),
    ("pgdiffseg", "busi_128_shipped", "model"),
    ("medsegdiff", "shipped", "model"),
    ("medsegdiff", "shipped_temperature_1", "model"),
    ("medsegdiff", "ddti_128_shipped", "model"),
    ("medsegdiff_v2", "shipped", "model"),
    ("medsegdiff_v2", "fundus", "fundus"),
    ("medsegdiff_v2", "volumes_test", "volumes"),
    ("diffusiondci_segmentation", "shipped", "model"),
    *(
        ("medsegdiff_v2", f"fundus_val{end}", "fundus")
        for end in ("", "_1_step", "_10_steps", "_anchor", "_plain", "_truncated")
    ),
]  # others are of weights that do not ship, or were kept before a result named its weights
each = pytest.mark.parametrize("bundle", SHIPPED, ids=lambda bundle: bundle.name)


def test_there_are_some():
    assert "pgdiffseg" in [bundle.name for bundle in SHIPPED]


@each
def test_the_sums_list_every_file(bundle):
    folder = bundle.weights.parent
    lines = (folder / PUBLISHED).read_text().splitlines()
    listed = {name: digest for digest, name in map(str.split, lines)}
    files = {path.name for path in folder.iterdir() if path.suffix}
    assert listed == {name: sha256(folder / name) for name in files}


@each
def test_inference_is_set_to_what_they_were_trained_with(bundle):
    trained = yaml.safe_load(bundle.weights.with_suffix(".yaml").read_text())
    inference = yaml.safe_load(bundle.config("inference").read_text())
    of_weights = {"structure", "flips", "zooms", "temperature"}  # said of or found for them; inference.yaml has none
    assert {name: inference[name] for name in set(trained) - of_weights} == {
        name: value for name, value in trained.items() if name not in of_weights
    }
    assert {"image_size", "network_def"} <= set(trained)


def test_others_of_a_bundle_load_by_their_name_and_are_what_the_sums_say():
    named = [(bundle, name) for bundle in SHIPPED for name in bundle.other_weights]
    assert {"fundus", "volumes"} == {name for bundle, name in named if bundle.name == "medsegdiff_v2"}
    for bundle, name in named:
        path = bundle.chosen(name)
        check_published(path)
        assert len(read_images(path) or ()) == {"fundus": 43, "volumes": 161}[name]
        own = noise2mask.Segmenter(bundle.name, name).inferer.settings
        trained = yaml.safe_load(path.with_suffix(".yaml").read_text())
        assert own["target"] == trained["target"] and own["mask_scale"] == trained["mask_scale"]


@each
def test_all_of_a_bundle_are_small(bundle):
    assert sum(path.stat().st_size for path in bundle.weights.parent.glob("*.pt")) < 20e6


@each
def test_they_come_with_terms_with_what_they_were_trained_on_and_with_scores(bundle):
    assert "research" in (bundle.weights.parent / "LICENSE").read_text()
    assert bool(restriction(bundle.weights)) == (bundle.name != "medsegdiff_v2")  # the hippocampus has a licence
    settings = {
        name: yaml.safe_load(bundle.chosen(name).with_suffix(".yaml").read_text()) for name in bundle.other_weights
    }
    own = yaml.safe_load(bundle.weights.with_suffix(".yaml").read_text())
    others = {name for name, some in settings.items() if some["structures"] != own["structures"]}
    assert set(bundle.metadata.get("other_weights", {})) == others  # of other images the metadata must say so
    assert len(read_images(bundle.weights) or ()) > 100 and images_file(bundle.weights).stat().st_size < 2**20
    of_task = {"frechet_distance", "mmd"} if bundle.generates else {"dice", "dice_lesion"}
    assert of_task <= set(bundle.metadata["eval_metrics"])


def test_others_have_the_terms_of_their_own_data():
    weights = next(bundle for bundle in SHIPPED if bundle.name == "medsegdiff_v2")
    said = {name: restriction(weights.chosen(name)) for name in weights.other_weights}
    assert not said["volumes"] and "Drishti-GS" in said["fundus"]


@pytest.mark.parametrize(("name", "result", "weights"), SCORED)
def test_a_result_of_the_card_is_of_these_weights(name, result, weights):
    folder = ROOT / "bundles" / name
    kept = json.loads((folder / "docs" / "results" / f"{result}.json").read_text())
    assert kept["weights"] == sha256(folder / "models" / f"{weights}.pt") and kept["versions"]["torch"]


@pytest.mark.parametrize("bundle", SEGMENTING, ids=lambda bundle: bundle.name)
def test_they_answer_to_the_image(bundle, tmp_path):
    colours = bundle.metadata["network_data_format"]["inputs"]["image"]["num_channels"] == 3
    make_demo(["--output", str(tmp_path / "demo"), "--patients", "4", *(["--kind", "tissue"] if colours else [])])
    images = sorted((tmp_path / "demo" / "images").iterdir())[:2]
    first, second = (noise2mask.segment(bundle.name, path, samples=2) for path in images)
    assert first.probability.max() > 0.5 and not np.allclose(first.probability, second.probability, atol=0.1)
    assert 0 <= first.triage <= 1 and first.mask.any()


@pytest.mark.e2e
@pytest.mark.parametrize("bundle", GENERATING, ids=lambda bundle: bundle.name)
def test_generated_images_answer_to_the_mask_and_to_the_reference(bundle, commands, tmp_path):
    """Left tumour, right stroma, and the other way round, in the style of a generated slide and of a darker one."""
    write_tissue(tmp_path / "slides", patients=1, seed=0)
    bright = tmp_path / "slides" / "images" / "slide_000.png"
    Image.open(bright).point(lambda value: value // 2).save(tmp_path / "dark.png")
    (tmp_path / "masks").mkdir()
    halves = np.repeat([[1] * 32 + [2] * 32], 64, axis=0).astype(np.uint8)
    for name, mask in (("a", halves), ("b", halves[:, ::-1])):
        Image.fromarray(np.ascontiguousarray(mask)).save(tmp_path / "masks" / f"{name}.png")
    made = []
    for reference in (bright, tmp_path / "dark.png"):
        output = tmp_path / f"of_{reference.stem}"
        where = [tmp_path / "masks", "--references", reference, "-o", output, "--steps", "5"]
        commands.run(commands.command("generate", bundle.name, *where))
        made.append([np.asarray(Image.open(output / "images" / f"{name}_0.png"), float) for name in "ab"])
    (first, second), (dark, _) = made
    left, right = first[:, :32].mean((0, 1)), first[:, 32:].mean((0, 1))
    assert first.std() > 5 and np.abs(left - right).max() > 5  # tumour and stroma differ
    swapped = second[:, 32:].mean((0, 1)) - second[:, :32].mean((0, 1))
    assert (np.sign(left - right) == np.sign(swapped)).all()  # and follow the mask
    assert (first.mean((0, 1)) - dark.mean((0, 1)) > 20).all()
