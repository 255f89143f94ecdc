"""Bundles are found by name from anywhere, or by their folder."""

import json

import nibabel as nib
import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser

from noise2mask.bundles import all_bundles, find_bundle

OWN = ("pgdiffseg", "medsegdiff", "medsegdiff_v2", "diffusiondci_generation", "diffusiondci_segmentation")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A working directory with a bundle of its own."""
    configs = tmp_path / "bundles" / "mine" / "configs"
    (configs / "presets").mkdir(parents=True)
    (configs / "metadata.json").write_text(json.dumps({"version": "1.2.3", "task": "test"}))
    for name in ("train.yaml", "inference.json", "presets/paper.yaml"):
        (configs / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    return find_bundle("mine")


def test_the_working_directory_comes_first_and_the_checkout_after_it(own):
    assert [bundle.name for bundle in all_bundles()] == ["mine", *sorted(OWN)]
    assert own.metadata["version"] == "1.2.3"


def test_a_folder_is_taken_as_it_is(own):
    assert find_bundle(str(own.root)).root == own.root == find_bundle("bundles/mine").root


def test_an_unknown_name_is_answered_with_the_nearest(own):
    with pytest.raises(ValueError, match=rf"expected one of mine, {', '.join(sorted(OWN))}.*Did you mean pgdiffseg\?"):
        find_bundle("pgdifseg")


def test_damaged_metadata_are_named(own):
    (own.root / "configs" / "metadata.json").write_text("{")
    with pytest.raises(ValueError, match=r"metadata.json is no JSON"):
        find_bundle("mine")


def test_configs_are_yaml_in_a_checkout_and_json_in_a_package(own):
    assert own.config("train").name == "train.yaml" and own.config("inference").name == "inference.json"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("presets/papers", "no presets 'papers', expected one of: paper"),
        ("evaluate", "no config 'evaluate', expected one of: inference, train"),
    ],
)
def test_a_config_that_is_not_there_is_answered_with_those_that_are(own, name, words):
    with pytest.raises(ValueError, match=words):
        own.config(name)


# Settings that come with weights


SETTINGS = {
    "image_size": [16, 16],
    "axcodes": None,
    "mask_scale": 0.3,
    "noise_schedule": {"_target_": "noise2mask.diffusion.noise_schedule.NoiseSchedule", "timesteps": 10},
    "reader": {"_target_": "noise2mask.data.reader.ColourReader", "phase": "@phase"},
    "network_def": {
        "_target_": "noise2mask.networks.baseline.Baseline",
        "network": {"_target_": "monai.networks.nets.BasicUNet"},
    }
    | {"mask_scale": "@mask_scale"},
}


def test_settings_beside_weights_are_taken(own, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"")
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(SETTINGS))
    model_file, configs = own.inference_configs(tmp_path / "w.pt", ["paper"])
    assert model_file == tmp_path / "w.pt" and [path.name for path in configs] == [
        "inference.json", "w.yaml", "paper.yaml"
    ]  # fmt: skip


def test_settings_of_the_training_win_over_those_of_data_whichever_way_these_are_given(own, tmp_path, caplog):
    (tmp_path / "w.pt").write_bytes(b"")
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(SETTINGS))
    (own.root / "configs" / "data").mkdir()
    (own.root / "configs" / "data" / "eye.yaml").write_text("layout: eye\nimage_size: [64, 64]\n")
    (own.root / "configs" / "presets" / "paper.yaml").write_text("mask_scale: 1.0\n")
    config = ConfigParser.load_config_files(list(map(str, own.inference_configs("w.pt", ["paper", "data/eye"])[1])))
    assert (config["layout"], config["image_size"], config["mask_scale"]) == ("eye", [16, 16], 1.0)
    assert "w.yaml overrules eye: image_size [16, 16]." in caplog.text
    (own.root / "configs" / "data" / "eye.yaml").write_text("layout: eye\nimage_size: [16, 16]\n")
    caplog.clear()
    own.inference_configs("w.pt", ["data/eye"])
    assert not caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "$__import__('os').system('true')"},
        {"phase": "%other.yaml"},
        {"phase": "@device"},
        {"run": ["x"]},
        {"network_def": {"_target_": "os.system", "command": "true"}},
        {"network_def": {"_target_": "ConfigWorkflow", "config_file": "evil.yaml"}},
        {"network_def": {"_target_": "noise2mask.files.load_plain", "path": "x"}},
        {"network_def": {"_target_": "noise2mask.networks.weights.ZipFile", "file": "x", "mode": "w"}},
        {"reader": {"_target_": "noise2mask.data.datalist.load_datalist", "path": "x", "key": "y"}},
        {"network_def": {"_target_": "monai.networks.nets.BasicUNet", "features": [{"_target_": "subprocess.run"}]}},
        {"network_def": {"_target_": "monai.networks.nets.BasicUNet", "_requires_": "$exit()"}},
    ],
)
def test_settings_that_would_run_code_are_refused(own, tmp_path, change):
    (tmp_path / "w.pt").write_bytes(b"")
    (tmp_path / "w.yaml").write_text(yaml.safe_dump({**SETTINGS, **change}))
    with pytest.raises(ValueError, match="expected settings alone: do not use these weights"):
        own.inference_configs(tmp_path / "w.pt", [])


def test_weights_without_settings_are_taken_with_a_warning(own, tmp_path, caplog):
    (tmp_path / "w.pt").write_bytes(b"")
    assert len(own.inference_configs(tmp_path / "w.pt", [])[1]) == 1
    assert "w.yaml is missing: the bundle's default settings are taken" in caplog.text


# What configs share


@pytest.mark.parametrize("name", ["medsegdiff", "medsegdiff_v2", "pgdiffseg"])
def test_masks_of_several_phases_are_scored_in_the_phase_of_the_image(name, tmp_path):
    for key in ("image", "label"):
        phases = np.stack([np.full((4, 4, 2), phase, np.uint8) for phase in (0, 1)], axis=-1)
        nib.save(nib.Nifti1Image(phases, np.eye(4)), tmp_path / f"{key}.nii.gz")
    files = [str(find_bundle(name).config(config)) for config in ("inference", "evaluate", "data/folder")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    item = {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    for phase in (0, 1):
        parser["phase"] = phase
        parser.parse(reset=True)
        assert parser.get_parsed_content("preprocessing")(item)["label"][-1].unique().tolist() == [phase]


def test_weights_of_another_bundles_network_are_named(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"")
    (tmp_path / "model.yaml").write_text(
        "network_def: {_target_: noise2mask.networks.dsdm_with_reference.DSDMWithReference}"
    )
    words = "is of a DSDMWithReference, diffusiondci_segmentation expects a DCISegmenter or PlainSegmenter"
    with pytest.raises(ValueError, match=words):
        find_bundle("diffusiondci_segmentation").inference_configs(tmp_path / "model.pt", [])


def test_overlays_are_called_as_they_lie_in_the_configs():
    bundle = find_bundle("pgdiffseg")
    names = {"joint": "joint", "data/busi": "data/busi", "paper": "presets/paper"}
    assert {name: bundle.overlay(name) for name in names} == names
    assert all(bundle.preset(name) == bundle.config(config) for name, config in names.items())


def test_other_weights_are_told_with_what_they_segment_where_a_file_says_so(own):
    (own.root / "models").mkdir()
    for name, settings in {
        "model": "",
        "bare": None,
        "cup": "structure: cup\n",
        "both": "structures: {disc: [1], cup: [2]}\n",
    }.items():
        (own.root / "models" / f"{name}.pt").touch()
        if settings is not None:
            (own.root / "models" / f"{name}.yaml").write_text(settings)
    assert [own.said_of(name) for name in own.other_weights] == ["bare", "both: disc, cup", "cup: cup"]
