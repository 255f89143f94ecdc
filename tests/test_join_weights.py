"""Joined weights are those of each network, used as each is; what could not be used together is refused, by name."""

import json

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from noise2mask.bundles import check_harmless, find_bundle
from noise2mask.files import load_plain
from noise2mask.join_weights import join_weights, main
from noise2mask.networks.network_ensemble import NetworkEnsemble
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.networks.weights import load_weights
from noise2mask.package_bundle import package_bundle

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


def test_terms_stay_beside_the_weights(runs, tmp_path):
    for run in runs:
        (run / "LICENSE").write_text("Research use only.\n")
    path = join_weights(runs, tmp_path / "joined")
    assert (path.parent / "LICENSE").read_text() == "Research use only.\n"


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"mask_scale": 0.15}, "mask_scale is 0.3, was 0.15"), ({"image_size": [32, 32]}, "image_size::0 is 16, was 32")],
)
def test_networks_that_are_used_otherwise_are_not_joined(runs, tmp_path, changed, words):
    other = trained(tmp_path / "run_2", 2, **changed)
    with pytest.raises(ValueError, match=f"run_2/model.pt is used otherwise than .*run_0/model.pt: {words}"):
        join_weights([*runs, other], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_one_alone_and_what_is_not_there_are_refused(runs, tmp_path, capsys):
    with pytest.raises(ValueError, match="at least 2 networks to join, found 1"):
        join_weights(runs[:1], tmp_path / "joined")
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


def test_a_bundle_takes_them_where_it_takes_each_network(runs, tmp_path):
    path = join_weights(runs, tmp_path / "joined")
    model_file, configs = find_bundle("pgdiffseg").inference_configs(path, [])
    assert model_file == path and configs[-1] == path.with_suffix(".yaml")
    with pytest.raises(ValueError, match="model.yaml is of a PGDiffSeg, medsegdiff expects a"):
        find_bundle("medsegdiff").inference_configs(path, [])


def test_a_package_does_without_them(runs, tmp_path):
    path = join_weights(runs, tmp_path / "joined")
    with pytest.raises(ValueError, match="is of several networks, which MONAI Label could not train on"):
        package_bundle(find_bundle("pgdiffseg").root, tmp_path / "package", path)
