"""The config a run really uses, seen from a component of it."""

from copy import deepcopy

import pytest
from monai.bundle import ConfigParser

from noise2mask.handlers.resolved_config import bundle_of, difference, fingerprint, resolved_config


class Witness(dict):
    """Looks at its config while it is instantiated."""

    def __init__(self, inner=None):
        self.config = resolved_config()
        self.inner = inner


WITNESS = {"_target_": f"{__name__}.Witness"}
CONFIG = {
    "lr": 0.01,
    "output_dir": "/somewhere",
    "optimizer": {"lr": "@lr", "betas": [0.9, 0.999]},
    "witness": WITNESS,
    "outer": {"inner": {"_target_": "dict", "a": WITNESS}},
    "called": "$[@witness]",
}


def parsed(overrides=None):
    parser = ConfigParser(deepcopy(CONFIG))
    parser.update(overrides or {})
    return parser


def test_a_config_is_of_the_bundle_whose_metadata_stand_in_its_root(tmp_path):
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    path = tmp_path / "mine" / "configs" / "metadata.json"
    for text, expected in (("{", None), ("[]", None), ('{"name": "A"}', None), ('{"name": "A", "version": "1"}', True)):
        path.write_text(text)
        found = bundle_of({"bundle_root": str(tmp_path / "mine" / ".." / "mine")})
        assert found == (expected and {"name": "mine", "title": "A", "version": "1"})
    assert bundle_of({}) is None and bundle_of({"bundle_root": "$pathlib.Path('x')"}) is None


def test_without_a_config_there_is_none():
    assert resolved_config() == {} == Witness().config


@pytest.mark.parametrize("name", ["witness", "called", "outer::inner"])
def test_a_component_sees_the_whole_config(name):
    found = parsed().get_parsed_content(name)
    witness = {"witness": lambda: found, "called": lambda: found[0], "outer::inner": lambda: found["a"]}[name]()
    assert witness.config["optimizer"] == {"lr": "@lr", "betas": [0.9, 0.999]} and witness.config["lr"] == 0.01


def test_overrides_are_seen():
    parser = parsed({"lr": 0.5, "optimizer::betas::0": 0.8})
    config = parser.get_parsed_content("witness").config
    assert config["lr"] == 0.5 and config["optimizer"]["betas"] == [0.8, 0.999]


@pytest.fixture
def bundle_root(tmp_path):
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "train.yaml").write_text("lr: 1\noptimizer: {}\nouter: {}\ncalled: 1\n")
    (tmp_path / "configs" / "data" / "eye.yaml").write_text("witness::inner: 1\n+layout: eye\n")
    return {"bundle_root": str(tmp_path)}


@pytest.mark.parametrize("mistyped", [{"layuot": "eye"}, {"learning_rate": 1.0}, {"sizes": [64, 64]}])
def test_a_name_that_no_config_has_and_nothing_refers_to_is_refused(bundle_root, mistyped):
    (name,) = mistyped
    with pytest.raises(RuntimeError) as raised:
        parsed(bundle_root | mistyped).get_parsed_content("witness")
    said = str(raised.value.__cause__)
    assert f"There is no setting {name}, and nothing in the config refers to it." in said
    assert said.endswith("Did you mean layout?") == (name == "layuot")


def test_names_of_ones_own_that_something_refers_to_or_that_run_are_taken(bundle_root):
    own = {"rate": 0.5, "lr": "@rate", "exporting": ["$print(1)"], "mine": {"_target_": "dict"}, "layout": "busi"}
    assert parsed(bundle_root | own).get_parsed_content("witness").config["rate"] == 0.5


def test_equal_runs_have_equal_fingerprints_and_others_say_what_differs():
    def of(overrides):
        return fingerprint(parsed(overrides).get_parsed_content("witness").config)

    assert of({}) == of({}) and difference(of({}), of({})) == []
    assert difference(of({}), of({"lr": 0.5})) == ["lr is 0.5, was 0.01"]
    assert difference(of({}), of({"optimizer::betas": [0.9]})) == ["optimizer::betas::1 is missing, was 0.999"]


def test_places_machines_and_workers_do_not_count():
    config = {
        "train": {"loader": {"num_workers": 0, "batch_size": 2}},
        "output_dir": "a",
        "device": "cpu",
        "run": ["$1"],
    }
    other = {"train": {"loader": {"num_workers": 4, "batch_size": 2}}, "output_dir": "b", "device": "cuda", "run": []}
    assert fingerprint(config) == fingerprint(other) == {"train::loader::batch_size": "2"}


def test_types_count():
    assert difference(fingerprint({"a": 1}), fingerprint({"a": "1"})) == ["a is '1', was 1"]
    assert difference(fingerprint({"a": 1}), fingerprint({"a": 1.0})) == ["a is 1.0, was 1"]


def test_structures_in_another_order_are_other_structures():
    first, second = ({"structures": dict(pairs)} for pairs in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)]))
    assert first == second and fingerprint(first) != fingerprint(second)
