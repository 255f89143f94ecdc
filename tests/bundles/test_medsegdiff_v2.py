"""MedSegDiff-V2 by command: several structures in volumes and pictures, from training to results and their objects.

What all bundles share (resuming in every place, kinds of input, kinds of damage) is tested with pgdiffseg.
"""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.conftest import BUNDLES, TINY

from noise2mask.bundles import settings_file
from noise2mask.data.demo_abdomen import STRUCTURES, write_demo
from noise2mask.files import load_plain
from noise2mask.networks.medsegdiff_v2 import MedSegDiffV2
from noise2mask.studies.ablation import file_name

from .runs import WRITTEN, assert_as_evaluated, assert_equal_runs, options, scalars

pytestmark = pytest.mark.e2e
NAME = "medsegdiff_v2"
SHORT = {"batch_size": 24, "epochs": 2, "val_interval": 1, "learning_rate": 2.0e-3}
QUICK = {"steps": 2, "samples": 2, "progress": False}
VIEWS = {"flips": "[[],[1]]", "zooms": "[1.0,0.85,1.2]"}  # of the training, in model.yaml


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory):
    """Ten generated volumes: seven to train, one to validate, two to test."""
    folder = write_demo(tmp_path_factory.mktemp("abdomen") / "data", patients=10)
    for kind in ("images", "masks"):  # volumes differ in their number of slices
        path = folder / kind / "abdomen_003.nii.gz"
        whole = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(whole.dataobj)[..., 2:], whole.affine), path)
    return folder


@pytest.fixture(scope="module")
def run(commands, abdomen):
    """run(run_id, configs, settings): the command of MONAI."""

    def command(run_id, configs, **settings):
        return commands.bundle(run_id, configs, "--dataset_dir", abdomen, *options(settings), name=NAME)

    return command


@pytest.fixture(scope="module")
def trained(commands, abdomen, tmp_path_factory):
    """Output folder of an uninterrupted training by `noise2mask train`."""
    folder = tmp_path_factory.mktemp("medsegdiff_v2") / "run"
    train = commands.command("train", NAME, "--data", abdomen, "-o", folder, "--preset", "data/demo", tiny=NAME)
    commands.run([*train, *options(SHORT, "--set")])
    return folder


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    """Random weights, whose masks depend on the image, with the settings of the training beside them."""
    torch.manual_seed(0)
    network = MedSegDiffV2(
        1, 5, exclusive=True, base=8, multipliers=(1, 2), blocks=1, num_groups=8, former_blocks=1, heads=2
    )
    for model in (network.condition, network.diffusion):
        torch.nn.init.normal_(model.decoder.output[-1].weight, std=0.5)  # it begins at zero
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(network.state_dict(), path)
    shutil.copy(trained / "model.yaml", settings_file(path))
    return path


def read(path):
    return json.loads(path.read_text())


# Training


def test_training_lowers_the_loss_and_tells_both_norms(trained):
    names = {path.name for path in trained.iterdir() if not path.name.startswith("events.out.tfevents.")}
    assert names == WRITTEN
    found = scalars(trained)
    loss = list(found["train_loss"].values())
    assert list(found["train_loss"]) == list(range(1, 15)) and np.mean(loss[7:]) < np.mean(loss[:7])
    for part in ("condition", "rest"):
        assert list(found[f"gradient_norm_{part}"]) == list(range(1, 15))
        assert all(norm > 0 for norm in found[f"gradient_norm_{part}"].values())
    assert list(found["dice"]) == [1, 2]


def test_killed_and_resumed_has_the_losses_of_an_uninterrupted_run(commands, run, trained, tmp_path):
    command = run("training", "train.yaml data/demo.yaml", output_dir=tmp_path, **SHORT)
    assert commands.start(command).kill_after("epoch 0 until 1 epochs") == -9  # a validation begins
    commands.run(command)
    assert_equal_runs(tmp_path, trained)
    assert scalars(tmp_path)["train_loss"] == scalars(trained)["train_loss"]


@pytest.mark.distributed
def test_two_processes_train_one_model(commands, abdomen, tmp_path):
    where = ("--data", abdomen, "-o", tmp_path, "--preset", "data/demo")
    settings = {"batch_size": 24, "epochs": 1, "val_interval": 1}
    started = commands.ranks([*commands.command("train", NAME, *where, tiny=NAME), *options(settings, "--set")])
    assert [process.wait() for process in started] == [0, 0], started[0].text + started[1].text
    saved = load_plain(tmp_path / "last.pt")
    assert saved["finished"] and saved["iteration"] == 4  # of 2 x 24 of 166 slices
    assert list(scalars(tmp_path)["gradient_norm_condition"]) == [1, 2, 3, 4]
    assert set(load_plain(tmp_path / "model.pt")) == set(saved["objects"]["network"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"structures": "{'liver':[1],'rest':[2,3]}"},
            "holds the values 0, 1, 2, 3, 4; expected 0, 1, 2, 3: correct structures",
        ),
        ({"structures": "{'a':[1,2],'b':[2,3,4]}"}, "but a and b share 2: correct structures, or exclusive"),
        ({"structures": "{'a':[1,2,3,4],'b':[9]}"}, "no training mask holds a value of b (9): correct structures"),
        ({"network_def::anchor": "both"}, "anchor is 'both', expected one of u_sa, sa, none"),
        ({"anchor_schedule": "never"}, "schedule of the anchor's loss is 'never', expected one of expected, every"),
        ({"timestep_power": 0}, "timestep_power is 0, expected more than 0"),
    ],
)
def test_settings_that_can_not_work_are_refused_before_training(commands, run, tmp_path, settings, words):
    text = commands.fails(run("training", "train.yaml data/demo.yaml", output_dir=tmp_path / "run", **settings))
    assert words in text and "diffusion epoch" not in text and not list(tmp_path.rglob("*.pt"))


def test_a_label_of_another_geometry_is_refused_before_training(commands, abdomen, tmp_path):
    data = shutil.copytree(abdomen, tmp_path / "data")
    path = data / "masks" / "abdomen_003.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), np.diag([5, 5, 4, 1])), path)
    configs = "train.yaml data/demo.yaml"
    command = commands.bundle("training", configs, "--dataset_dir", data, "--output_dir", tmp_path / "run", name=NAME)
    assert "abdomen_003.nii.gz has another position, spacing or orientation" in commands.fails(command)


# Whole volumes, neighbouring slices, structures that overlap


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("volumes", {"slices": 24}),  # in twos, though one has 22
        ("slices_25d", {"batch_size": 48}),
        ("basic_unet", {"batch_size": 48, "image_size": "[32,32]"}),
    ],
)
def test_presets_train_and_segment(commands, abdomen, tmp_path, preset, settings):
    own = {"epochs": 1, "val_interval": 1, **settings}
    tiny = None if preset == "basic_unet" else NAME
    where = ("--data", abdomen, "-o", tmp_path / "run", "--preset", "data/demo", "--preset", preset)
    commands.run([*commands.command("train", NAME, *where, tiny=tiny), *options(own, "--set")])
    weights = tmp_path / "run" / "model.pt"
    if preset == "volumes":
        assert list(scalars(tmp_path / "run")["train_loss"]) == [1, 2, 3, 4]  # seven volumes
    if preset == "slices_25d":
        assert load_plain(weights)["condition.encoder.stem.weight"].shape[1] == 3
    image = abdomen / "images" / "abdomen_000.nii.gz"
    segment = commands.command("segment", NAME, image, "-o", tmp_path / "out", "--weights", weights)
    commands.run([*segment, *(options(QUICK, "--set") if preset != "basic_unet" else [])])
    mask = nib.load(tmp_path / "out" / "abdomen_000_mask.nii.gz")
    assert mask.shape == (64, 52, 24) and np.allclose(mask.affine, nib.load(image).affine)


def test_structures_in_one_another_are_trained_and_scored_by_name(commands, run, abdomen, tmp_path):
    structures = {"structures": "{'organ':[1,2,3,4],'vessel':[4]}", "exclusive": False}
    settings = {**SHORT, **structures, "epochs": 1, "output_dir": tmp_path / "run"}
    commands.run(run("training", "train.yaml data/demo.yaml", **settings))
    where = ("-o", tmp_path / "scores", "--weights", tmp_path / "run" / "model.pt")
    evaluate = commands.command("evaluate", NAME, "--data", abdomen, *where)
    commands.run([*evaluate, *options(QUICK, "--set")])
    scores = read(tmp_path / "scores" / "scores.json")
    assert list(scores["structures"]) == ["organ", "vessel"] and scores["counts"]["images"] == 2


# Evaluation


@pytest.fixture(scope="module")
def scored(commands, abdomen, weights, tmp_path_factory):
    """Output folder of `noise2mask evaluate`."""
    folder = tmp_path_factory.mktemp("scored")
    evaluate = commands.command("evaluate", NAME, "--data", abdomen, "-o", folder, "--weights", weights)
    commands.run([*evaluate, *options(QUICK, "--set")])
    return folder


def test_every_structure_of_every_volume_has_a_score_in_millimetres(scored):
    with open(scored / "cases.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["structure"] for row in rows] == [*STRUCTURES] * 2
    assert {row["hd95_unit"] for row in rows} == {"mm"}
    scores = read(scored / "scores.json")
    assert list(scores["structures"]) == [*STRUCTURES]
    own = [scores["structures"][name]["means"]["dice"] for name in STRUCTURES]
    assert scores["means"]["dice"] == pytest.approx(np.mean(own)) and 0 < scores["means"]["dice"] < 1
    assert "the class of the largest fused probability" in scores["policy"]
    assert all(name in (scored / "scores.md").read_text() for name in STRUCTURES)


@pytest.mark.distributed
def test_two_processes_score_like_one(commands, abdomen, weights, scored, tmp_path):
    evaluate = commands.command("evaluate", NAME, "--data", abdomen, "-o", tmp_path, "--weights", weights)
    started = commands.ranks([*evaluate, *options(QUICK, "--set")])
    assert [process.wait() for process in started] == [0, 0], started[0].text + started[1].text
    found, expected = read(tmp_path / "scores.json"), read(scored / "scores.json")
    assert found["means"] == pytest.approx(expected["means"], abs=1e-6) and found["counts"] == expected["counts"]


def test_the_study_agrees_with_evaluation_and_has_the_anchor(commands, run, weights, scored, tmp_path):
    grid = {"study_steps": "[0,2]", "study_samples": "[2]", **VIEWS}
    configs = "inference.yaml evaluate.yaml data/demo.yaml settings_study.yaml"
    where = {"model_file": weights, "output_dir": tmp_path}
    commands.run(run("studying", configs, **where, **grid))
    with open(tmp_path / "settings_study.csv", newline="") as file:
        anchor, two = csv.DictReader(file)
    assert float(two["dice"]) == pytest.approx(read(scored / "scores.json")["means"]["dice"], abs=1e-6)
    assert float(anchor["dice"]) == pytest.approx(float(anchor["dice_of_the_prior"]), abs=1e-6)


def test_the_robustness_study_of_volumes_agrees_with_evaluation(commands, run, weights, scored, tmp_path):
    severities = {"study_noise": "[]", "study_blur": "[]", "study_contrast": "[1.0]", "study_crop": "[0.6]"}
    configs = "inference.yaml evaluate.yaml data/demo.yaml robustness_study.yaml"
    own = {"model_file": weights, "output_dir": tmp_path, "steps": 2, "samples": 2, **VIEWS}
    commands.run(run("studying", configs, **own, **severities))
    with open(tmp_path / "robustness_study.csv", newline="") as file:
        first, contrast, crop = csv.DictReader(file)
    assert_as_evaluated(first, read(scored / "scores.json"))
    assert contrast["dice"] == first["dice"] != crop["dice"]


def test_an_ablation_scores_each_row_in_every_way(commands, abdomen, tmp_path):
    config = BUNDLES / NAME / "configs" / "ablation.yaml"
    where = (
        "--bundle_root",
        BUNDLES / NAME,
        "--config_file",
        config,
        "--dataset_dir",
        abdomen,
        "--output_dir",
        tmp_path,
    )
    tiny = {key: yaml.safe_load(value) for key, value in TINY[NAME].items()}
    settings = {**tiny, **SHORT, "epochs": 1, "layout": "folder"}
    settings |= {"structures": {"liver": [1], "others": [2, 3, 4]}, "device": "cpu"}
    what = {
        "rows": {"sum": {"network_def::anchor": "none", "network_def::semantic": "sum"}},
        "overlays": ["data/hippocampus"],  # its layout is another
        "samplings": {"anchor": {"steps": 0, "samples": 1}, "1 step": {"sampler": "ddim", "steps": 1, "samples": 2}},
        "settings": settings,
    }
    commands.run(["-m", "monai.bundle", "run", "ablating", *map(str, where), *options(what)])
    table = (tmp_path / "ablation.md").read_text()
    for title in ("sum, anchor", "sum, 1 step"):
        kept = read(tmp_path / f"{file_name(title)}.json")
        assert list(kept["structures"]) == ["liver", "others"] and f"| {title} | {kept['means']['dice']:.3f}" in table


# Segmentation


@pytest.fixture(scope="module")
def segmented(commands, abdomen, weights, tmp_path_factory):
    """Results of `noise2mask segment` of one volume."""
    folder = tmp_path_factory.mktemp("segmented")
    image = abdomen / "images" / "abdomen_001.nii.gz"
    commands.run(
        [*commands.command("segment", NAME, image, "-o", folder, "--weights", weights), *options(QUICK, "--set")]
    )
    return folder


def test_a_volume_becomes_a_map_of_numbers_and_a_probability_of_each_structure(segmented):
    mask = np.asarray(nib.load(segmented / "abdomen_001_mask.nii.gz").dataobj)
    of_each = [nib.load(segmented / f"abdomen_001_probability_{name}.nii.gz").get_fdata() for name in STRUCTURES]
    channels = np.stack([1 - np.sum(of_each, axis=0), *of_each])
    clear = np.diff(np.sort(channels, axis=0)[-2:], axis=0)[0] > 1e-3  # what no class claims is of all alike
    assert (channels.argmax(axis=0) == mask)[clear].all() and len(np.unique(mask[clear])) > 1
    case = read(segmented / "abdomen_001.json")
    counts = {name: own["pixels"] for name, own in case["structures"].items()}
    assert counts == {name: int((mask == number).sum()) for number, name in enumerate(STRUCTURES, start=1)}


def test_slices_at_once_or_one_by_one_are_the_same(commands, abdomen, weights, segmented, tmp_path):
    """A volume with more slices than fit into memory goes in chunks."""
    image = abdomen / "images" / "abdomen_001.nii.gz"
    segment = commands.command("segment", NAME, image, "-o", tmp_path, "--weights", weights)
    commands.run([*segment, *options({**QUICK, "inferer::chunk_size": 5}, "--set")])
    for name in STRUCTURES:
        one, other = (
            nib.load(folder / f"abdomen_001_probability_{name}.nii.gz").get_fdata() for folder in (tmp_path, segmented)
        )
        assert np.abs(one - other).max() <= 1e-5


def test_the_anchor_alone_is_one_certain_mask(commands, abdomen, weights, tmp_path):
    image = abdomen / "images" / "abdomen_001.nii.gz"
    where = ("-o", tmp_path, "--weights", weights, "--preset", "anchor")
    commands.run(commands.command("segment", NAME, image, *where))
    report = read(tmp_path / "report.json")
    assert report["sampling"]["timesteps"] == [] and report["cases"][0]["triage"] == 0
    assert not nib.load(tmp_path / "abdomen_001_std.nii.gz").get_fdata().any()


def test_one_slice_an_odd_size_and_an_oblique_affine_come_back_as_they_were(commands, weights, tmp_path):
    affine = np.array([[1.9, 0.3, 0, -4], [-0.3, 1.9, 0.2, 7], [0, -0.2, 2.5, 1], [0, 0, 0, 1]])
    for name, shape in (("one", (21, 17, 1)), ("odd", (9, 33, 5))):
        values = np.random.default_rng(0).normal(0, 80, shape).astype(np.float32)
        (tmp_path / "in").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(values, affine), tmp_path / "in" / f"{name}.nii.gz")
    segment = commands.command("segment", NAME, tmp_path / "in", "-o", tmp_path / "out", "--weights", weights)
    commands.run([*segment, *options(QUICK, "--set")])
    for name, shape in (("one", (21, 17, 1)), ("odd", (9, 33, 5))):
        for kind in ("mask", "probability_liver", "std"):
            found = nib.load(tmp_path / "out" / f"{name}_{kind}.nii.gz")
            assert found.shape == shape and np.allclose(found.affine, affine, atol=1e-4)


def test_a_picture_becomes_a_map_in_colours(commands, weights, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)).save(tmp_path / "a.png")
    segment = commands.command("segment", NAME, tmp_path / "a.png", "-o", tmp_path / "out", "--weights", weights)
    commands.run([*segment, *options(QUICK, "--set")])
    mask = Image.open(tmp_path / "out" / "a_mask.png")
    assert mask.mode == "P" and mask.size == (30, 20) and np.asarray(mask).max() <= len(STRUCTURES)


def test_a_series_becomes_one_dicom_segmentation_with_a_segment_per_structure(commands, weights, tmp_path):
    hd = pytest.importorskip("highdicom")
    from tests.clinical.scanner import magnetic_resonance

    volume = np.random.default_rng(0).integers(0, 255, (4, 20, 24))
    magnetic_resonance(tmp_path / "in", volume)
    segment = commands.command("segment", NAME, tmp_path / "in", "-o", tmp_path / "out", "--weights", weights)
    commands.run([*segment, *options(QUICK, "--set")])
    (path,) = (tmp_path / "out").glob("*_mask.dcm")
    made = hd.seg.segread(path)
    assert [segment.SegmentLabel for segment in made.SegmentSequence] == [*STRUCTURES]
    assert made.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"  # liver
    mask = nib.load(path.with_name(path.name.replace(".dcm", ".nii.gz"))).get_fdata().transpose(2, 1, 0)
    own = made.get_volume().array  # (D, H, W, S)
    assert [int(part.sum()) for part in np.moveaxis(own, 3, 0)] == [int((mask == k).sum()) for k in range(1, 5)]
