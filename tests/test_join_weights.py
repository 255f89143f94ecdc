"""Joined weights are those of each network, used as each is; what could not be used together is refused, by name."""

import json

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from noise2mask.bundles import check_harmless, find_bundle
from noise2mask.files import load_plain
from noise2mask.handlers.trained_on import read_images
from noise2mask.join_weights import join_weights, main
from noise2mask.networks.network_ensemble import NetworkEnsemble
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.networks.weights import load_weights
from noise2mask.package_bundle import package_bundle
from noise2mask.publish_weights import publish_weights
from noise2mask.segmenter import Segmenter
from noise2mask.terms import restriction

SETTINGS = {"image_size": [16, 16], "target": "x0", "mask_scale": 0.3, "flips": [[], [1]]}
WIDTH = {"base": 8, "multipliers": [1, 2], "num_groups": 2}


def trained(folder, seed, images=("a",), **changed):
    """What a training leaves."""
    folder.mkdir()
    torch.manual_seed(seed)
    network = changed.pop("network_def", WIDTH)
    torch.save({"model": PGDiffSeg(**network).state_dict()}, folder / "model.pt")
    definition = {"_target_": "noise2mask.networks.pgdiffseg.PGDiffSeg", **network}
    settings = {**SETTINGS, "network_def": definition, **changed}
    (folder / "model.yaml").write_text(yaml.safe_dump(settings))
    (folder / "model_images.json").write_text(json.dumps({"what": "SHA-256", "sha256": list(images)}))
    return folder


@pytest.fixture
def runs(tmp_path):
    other = {**WIDTH, "num_groups": 8}
    return [
        trained(tmp_path / "run_0", 0, ["a", "b"], temperature=1.5),
        trained(tmp_path / "run_1", 1, ["b", "c"], network_def=other),
    ]


def joined_network(path):
    parser = ConfigParser(yaml.safe_load(path.with_suffix(".yaml").read_text()))
    return load_weights(parser.get_parsed_content("network_def"), path)


def test_the_networks_come_back_with_their_own_weights_and_shape(runs, tmp_path):
    network = joined_network(join_weights(runs, tmp_path / "joined"))
    assert isinstance(network, NetworkEnsemble)
    for own, run in zip(network.members, runs, strict=True):
        for name, value in load_plain(run / "model.pt")["model"].items():
            assert torch.equal(own.state_dict()[name], value), name
    assert [own.output[0].num_groups for own in network.members] == [2, 8]


def test_beside_them_stands_what_all_have_alike_and_no_temperature(runs, tmp_path):
    path = join_weights([runs[0] / "model.pt", runs[1]], tmp_path / "joined")
    check_harmless(path.with_suffix(".yaml"))
    settings = yaml.safe_load(path.with_suffix(".yaml").read_text())
    assert {name: settings.get(name) for name in SETTINGS} == SETTINGS and "temperature" not in settings
    assert json.loads((path.parent / "model_images.json").read_text())["sha256"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("flips", "zooms", "networks", "samples"),
    [([[]], [1.0], 2, 6), ([[], [1]], [1.0], 2, 8), ([[], [1]], [1.0, 0.85, 1.2], 2, 12), (None, None, 4, 8)],
)
def test_of_each_view_each_network_has_as_many_samples(tmp_path, flips, zooms, networks, samples):
    views = {name: value for name, value in (("flips", flips), ("zooms", zooms)) if value}
    runs = [trained(tmp_path / f"run_{seed}", seed, **{**views, "samples": 1}) for seed in range(networks)]
    if not views:
        for run in runs:
            settings = yaml.safe_load((run / "model.yaml").read_text())
            del settings["flips"]
            (run / "model.yaml").write_text(yaml.safe_dump(settings))
    path = join_weights(runs, tmp_path / "joined")
    assert yaml.safe_load(path.with_suffix(".yaml").read_text())["samples"] == samples


def test_terms_of_each_stay_beside_the_weights(runs, tmp_path):
    for run, words in zip(runs, ("Research use only.\n", "Research use: ask first.\n"), strict=True):
        (run / "LICENSE").write_text(words)
    path = join_weights(runs, tmp_path / "joined")
    assert (path.parent / "LICENSE").read_text() == "Research use only.\n\nResearch use: ask first.\n"
    assert restriction(path) == "Research use only."


def test_images_that_are_not_known_of_all_are_known_of_none(runs, tmp_path):
    (runs[0] / "model_images.json").unlink()
    assert read_images(join_weights(runs, tmp_path / "joined")) is None


def test_weights_that_are_there_are_not_written_over(runs, tmp_path):
    before = {file.name: file.read_bytes() for file in runs[0].iterdir()}
    with pytest.raises(ValueError, match="run_0/model.pt is there already: give a folder without weights"):
        join_weights(runs, runs[0])
    assert {file.name: file.read_bytes() for file in runs[0].iterdir()} == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"mask_scale": 0.15}, "mask_scale is 0.15, was 0.3"), ({"image_size": [32, 32]}, "image_size::0 is 32, was 16")],
)
def test_networks_that_are_used_otherwise_are_not_joined(runs, tmp_path, changed, words):
    other = trained(tmp_path / "run_2", 2, **changed)
    with pytest.raises(ValueError, match=f"run_2/model.pt is used otherwise than .*run_0/model.pt: {words}"):
        join_weights([*runs, other], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_one_alone_and_what_is_not_there_are_refused(runs, tmp_path, capsys):
    for some in (runs[:1], [runs[0], runs[1], runs[0] / "model.pt"]):
        with pytest.raises(ValueError, match="at least 2 networks, none of them twice, found .*run_0/model.pt"):
            join_weights(some, tmp_path / "joined")
    (runs[1] / "model.yaml").unlink()
    with pytest.raises(SystemExit):
        main([*map(str, runs), "--output", str(tmp_path / "joined")])
    assert "run_1/model.yaml is missing: give the output folders of finished trainings" in capsys.readouterr().err


def test_what_is_more_than_weights_is_not_joined(runs, tmp_path):
    content = load_plain(runs[1] / "model.pt")
    torch.save({**content, "plans": {"a": 1}}, runs[1] / "model.pt")
    with pytest.raises(ValueError, match="run_1/model.pt holds plans beside its weights"):
        join_weights(runs, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


@pytest.mark.parametrize("content", [[1], {"model": [1]}], ids=["a list", "a list under model"])
def test_what_is_no_state_dict_is_refused_by_name(runs, tmp_path, content):
    torch.save(content, runs[1] / "model.pt")
    with pytest.raises(ValueError, match="run_1/model.pt holds a list, expected a state dict"):
        join_weights(runs, tmp_path / "joined")


def test_settings_without_a_network_are_refused_by_name(runs, tmp_path):
    settings = yaml.safe_load((runs[1] / "model.yaml").read_text())
    for wrong in ({**settings, "network_def": {"base": 3}}, {"image_size": [16, 16]}):
        (runs[1] / "model.yaml").write_text(yaml.safe_dump(wrong))
        with pytest.raises(ValueError, match="run_1/model.yaml names no network_def"):
            join_weights(runs, tmp_path / "joined")


def test_what_can_not_be_joined_is_refused_by_name(runs, tmp_path):
    joined = join_weights(runs, tmp_path / "joined")
    third = trained(tmp_path / "run_2", 2, network_def=WIDTH)
    with pytest.raises(ValueError, match="joined/model.yaml is of an ensemble already: give single networks"):
        join_weights([joined, third], tmp_path / "again")
    generator = find_bundle("diffusiondci_generation").weights
    with pytest.raises(ValueError, match="model.yaml is of a network that makes images: give single networks that seg"):
        join_weights([generator, third], tmp_path / "again")


def test_a_bundle_takes_them_where_it_takes_each_network(runs, tmp_path):
    path = join_weights(runs, tmp_path / "joined")
    model_file, configs = find_bundle("pgdiffseg").inference_configs(path, [])
    assert model_file == path and configs[-1] == path.with_suffix(".yaml")
    with pytest.raises(ValueError, match="model.yaml is of a PGDiffSeg, medsegdiff expects a"):
        find_bundle("medsegdiff").inference_configs(path, [])


@pytest.mark.parametrize("bundle", ["medsegdiff_v2", "diffusiondci_segmentation"])
def test_published_networks_are_joined_published_again_and_segment(bundle, tmp_path):
    own, other, copy = find_bundle(bundle).weights, tmp_path / "other", tmp_path / bundle
    for folder in (other, copy / "configs", copy / "models"):
        folder.mkdir(parents=True)
    (copy / "configs" / "metadata.json").write_text("{}")
    (other / "model.yaml").write_text(own.with_suffix(".yaml").read_text())
    (other / "model_images.json").write_text(own.with_name("model_images.json").read_text())
    state = load_plain(own)
    changed = {name: 0.9 * value if value.is_floating_point() else value for name, value in state.items()}
    torch.save(changed, other / "model.pt")
    path = publish_weights(join_weights([own, other], tmp_path / "joined").parent, copy, temperature=1.2)
    segmenter = Segmenter(bundle, weights=path)
    assert [len(own.state_dict()) for own in segmenter.network.members] == 2 * [len(state)]
    colours = (3,) if bundle.startswith("diffusion") else ()
    image = np.random.default_rng(0).random((64, 64, *colours)) * 255
    assert segmenter.inferer.temperature == 1.2 and segmenter(image).std.max() > 0


def test_a_package_does_without_them(runs, tmp_path):
    path = join_weights(runs, tmp_path / "joined")
    with pytest.raises(ValueError, match="is of several networks, which MONAI Label could not train on"):
        package_bundle(find_bundle("pgdiffseg").root, tmp_path / "package", path)
