"""A name that no config has is refused and the nearest one named; values keep their kind."""

import pytest

from noise2mask.settings import check_settings, parsed


@pytest.fixture
def configs(tmp_path):
    """Two configs, the second over the first."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(
        "epochs: 3\nlearning_rate: 1.0e-3\nclip: true\nstart: null\nname: ddim\nsize: [64, 64]\na: {b: [{c: 1}]}"
    )
    second.write_text("samples: 5\na::b::0::c: 2\n")
    return [first, second]


def test_values_are_read_as_yaml_or_python():
    texts = ["a=1e-4", "b=[64, 64]", "c=null", "d=None", "e=false", "f=ddim", "g=$@x + '='", "h=", "i=(1, 2)"]
    values = [1e-4, [64, 64], None, None, False, "ddim", "$@x + '='", None, (1, 2)]
    assert parsed(texts) == dict(zip("abcdefghi", values, strict=True))


@pytest.mark.parametrize("texts", [["steps"], ["=3"], ["a=1", "a=2"]])
def test_what_is_no_setting_is_refused(texts):
    with pytest.raises(ValueError, match=r"has no '='|given twice"):
        parsed(texts)


@pytest.mark.parametrize(("name", "near"), [("epoch", "epochs"), ("sample", "samples"), ("a::b::0::d", "a::b::0::c")])
def test_the_nearest_name_is_named(configs, name, near):
    with pytest.raises(ValueError, match=rf"no setting {name}. Did you mean {near}\?"):
        check_settings({name: 1}, configs)


def test_a_name_like_no_other_has_no_neighbour(configs):
    with pytest.raises(ValueError, match=r"There is no setting zzz\.$"):
        check_settings({"zzz": 1}, configs)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "two"), ("epochs", True), ("clip", 1), ("size", 64), ("learning_rate", [1]), ("a", 3)],
)
def test_a_value_of_another_kind_is_refused(configs, name, value):
    with pytest.raises(ValueError, match=f"{name} is .* expected something like"):
        check_settings({name: value}, configs)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1), ("learning_rate", 1), ("clip", False), ("start", 400), ("name", None), ("epochs", "@samples")],
)
def test_a_value_of_the_same_kind_is_taken(configs, name, value):
    check_settings({name: value}, configs)
