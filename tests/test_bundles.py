"""Bundles are found by name from anywhere, or by their folder."""

import json

import pytest

from noise2mask.bundles import all_bundles, find_bundle


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A working directory with a bundle of its own."""
    configs = tmp_path / "bundles" / "mine" / "configs"
    (configs / "presets").mkdir(parents=True)
    (configs / "metadata.json").write_text(json.dumps({"version": "1.2.3", "task": "test"}))
    for name in ("train.yaml", "inference.json", "presets/paper.yaml"):
        (configs / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return find_bundle("mine")


def test_the_working_directory_comes_first_and_the_checkout_after_it(own):
    assert [bundle.name for bundle in all_bundles()] == ["mine", "pgdiffseg"]
    assert own.metadata["version"] == "1.2.3"


def test_a_folder_is_taken_as_it_is(own):
    assert find_bundle(str(own.root)).root == own.root == find_bundle("bundles/mine").root


def test_an_unknown_name_is_answered_with_the_nearest(own):
    with pytest.raises(ValueError, match=r"expected one of mine, pgdiffseg.*Did you mean pgdiffseg\?"):
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
