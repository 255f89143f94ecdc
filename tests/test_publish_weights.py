"""Published weights are the trained ones in half the bits, with all that goes with them, or nothing has changed."""

import os
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from noise2mask.bundles import Bundle, check_harmless
from noise2mask.digest import PUBLISHED, check_published, sha256
from noise2mask.files import load_plain
from noise2mask.networks.weights import load_weights
from noise2mask.publish_weights import main, publish_weights
from noise2mask.terms import restriction


def network():
    """Two layers, one of which counts its batches in whole numbers."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(40, 30), nn.BatchNorm1d(30))


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    torch.save({"model": network().state_dict(), "plans": {"a": 1}}, folder / "model.pt")
    (folder / "model.yaml").write_text("image_size: [8, 8]\n")
    (folder / "model_images.json").write_text("[]\n")
    return folder


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "models").mkdir(parents=True)
    (folder / "configs").mkdir()
    (folder / "configs" / "metadata.json").write_text("{}")
    (folder / "models" / "LICENSE").write_text("Research use\n")
    (folder / "models" / PUBLISHED).write_text("0" * 64 + "  model.pt\n")
    return folder


def test_what_is_published_is_the_training_s_rounded_to_eleven_bits(run, bundle):
    path = publish_weights(run, bundle)
    content, trained = load_plain(path), network().state_dict()
    assert content["plans"] == {"a": 1}
    assert {str(value.dtype) for value in content["model"].values()} == {"torch.float16", "torch.int64"}
    loaded = load_weights(network(), path).state_dict()
    for name, value in loaded.items():
        assert value.dtype == trained[name].dtype
        assert torch.allclose(value, trained[name], rtol=2**-11, atol=2**-25)
    assert path.stat().st_size < 0.75 * (run / "model.pt").stat().st_size


def test_the_sums_are_of_what_is_there_and_the_terms_stay(run, bundle):
    path = publish_weights(run, bundle)
    assert {file.name for file in path.parent.iterdir()} == {
        "LICENSE", PUBLISHED, "model.pt", "model.yaml", "model_images.json"
    }  # fmt: skip
    for line in (path.parent / PUBLISHED).read_text().splitlines():
        digest, name = line.split()
        assert digest == sha256(path.parent / name)
        check_published(path.parent / name)
    assert (path.parent / "LICENSE").read_text() == "Research use\n"
    published, own = (yaml.safe_load((folder / "model.yaml").read_text()) for folder in (path.parent, run))
    assert published == own
    assert (path.parent / "model.yaml").read_text().startswith("# How model.pt was trained: over inference.yaml")


def test_others_stand_beside_the_bundle_s_own_by_a_name_that_commands_take(run, bundle, tmp_path):
    own = publish_weights(run, bundle)
    torch.save({"w": torch.ones(2)}, run / "model.pt")
    other = publish_weights(run, bundle, "volumes")
    listed = [line.split()[1] for line in (bundle / "models" / PUBLISHED).read_text().splitlines()]
    assert listed == [f"{name}{end}" for name in ("model", "volumes") for end in (".pt", ".yaml", "_images.json")]
    check_published(own)
    check_published(other)
    found = Bundle(bundle, {})
    assert found.other_weights == ["volumes"] and found.chosen(None) == own and found.chosen("volumes") == other
    assert found.chosen(tmp_path / "volumes.pt") == tmp_path / "volumes.pt"
    with pytest.raises(ValueError, match="none.pt does not exist.*give a model.pt, one of volumes, or train one"):
        found.inference_configs("none.pt", [])


def test_a_byte_that_has_changed_in_other_weights_is_not_published(run, bundle):
    other = publish_weights(run, bundle, "volumes")
    content = bytearray(other.read_bytes())
    content[-100] ^= 1
    other.write_bytes(content)
    before = {path.name: path.read_bytes() for path in other.parent.iterdir()}
    with pytest.raises(ValueError, match="volumes.pt is not the file that .*SHA256SUMS lists"):
        publish_weights(run, bundle)
    assert {path.name: path.read_bytes() for path in other.parent.iterdir()} == before


@pytest.mark.parametrize("name", [PUBLISHED, "model.yaml", "model_images.json", "model.pt"])
def test_a_kill_leaves_the_old_weights_or_some_that_are_refused(run, bundle, monkeypatch, name):
    path = publish_weights(run, bundle)
    before, replace = path.read_bytes(), os.replace
    torch.save({"model": nn.Linear(40, 30).state_dict()}, run / "model.pt")

    def killed(source, target):
        if Path(target) == path.with_name(name):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", killed)
        publish_weights(run, bundle, temperature=1.5)
    assert path.read_bytes() == before
    if name == PUBLISHED:
        check_published(path)
        check_published(path.with_suffix(".yaml"))
    else:
        with pytest.raises(ValueError, match="model.pt is not the file"):
            load_plain(path)
    check_published(publish_weights(run, bundle))


def test_their_temperature_goes_with_them(run, bundle):
    path = publish_weights(run, bundle, temperature=1.5)
    assert yaml.safe_load(path.with_suffix(".yaml").read_text()) == {"image_size": [8, 8], "temperature": 1.5}
    check_harmless(path.with_suffix(".yaml"))
    check_published(path.with_suffix(".yaml"))


@pytest.mark.parametrize("name", ["", "../model", "a.b"])
def test_a_name_that_is_no_file_s_is_refused(run, bundle, name):
    with pytest.raises(ValueError, match="is none of weights"):
        publish_weights(run, bundle, name)


def test_a_folder_that_is_no_bundle_is_not_made_one(run, tmp_path):
    with pytest.raises(ValueError, match="is no bundle"):
        publish_weights(run, tmp_path / "bundel")
    assert not (tmp_path / "bundel").exists()


def test_terms_of_their_own_are_those_of_others(run, bundle):
    own, other = publish_weights(run, bundle), publish_weights(run, bundle, "volumes")
    assert restriction(own) == restriction(other) == "Research use"
    (bundle / "models" / "LICENSE_volumes").write_text("CC BY-SA 4.0\n")
    assert restriction(own) == "Research use" and restriction(other) == ""


@pytest.mark.parametrize("name", ["model.pt", "model.yaml", "model_images.json"])
def test_a_file_that_is_missing_is_named_and_nothing_is_written(run, bundle, name, capsys):
    (run / name).unlink()
    with pytest.raises(SystemExit):
        main([str(run), str(bundle)])
    assert f"{name} is missing: give the output folder" in capsys.readouterr().err
    assert {file.name for file in (bundle / "models").iterdir()} == {"LICENSE", PUBLISHED}


def test_a_weight_that_half_precision_can_not_hold_is_named(run, bundle):
    torch.save({"large": torch.tensor([1e5])}, run / "model.pt")
    with pytest.raises(ValueError, match="model.pt: large is beyond what half precision holds"):
        publish_weights(run, bundle)
    assert not (bundle / "models" / "model.pt").exists() and (bundle / "models" / PUBLISHED).exists()


def test_the_command_says_where_they_are(run, bundle, capsys):
    main([str(run), str(bundle)])
    assert capsys.readouterr().out.strip() == str(bundle / "models" / "model.pt")


def test_what_is_no_state_dict_is_not_published(run, bundle):
    torch.save([1], run / "model.pt")
    with pytest.raises(ValueError, match="model.pt holds a list, expected a state dict"):
        publish_weights(run, bundle)
    assert not (bundle / "models" / "model.pt").exists()
