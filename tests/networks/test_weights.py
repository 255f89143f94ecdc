"""Loading weights: strict, and with errors that say what is wrong."""

import errno
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from torch import nn

from noise2mask import zips
from noise2mask.digest import sha256
from noise2mask.networks.weights import load_weights

from ..disk import full_disk


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state}])
def test_a_bare_state_and_one_under_model_are_loaded(path, wrap):
    source = nn.Linear(2, 3)
    torch.save(wrap(source.state_dict()), path)
    target = load_weights(nn.Linear(2, 3), path)
    assert torch.equal(target.weight, source.weight) and torch.equal(target.bias, source.bias)


def test_another_shape_is_named(path):
    torch.save(nn.Linear(4, 3).state_dict(), path)
    with pytest.raises(ValueError, match=r"model.pt does not fit .*weight has shape \(3, 4\), expected shape \(3, 2\)"):
        load_weights(nn.Linear(2, 3), path)


def test_missing_and_unknown_names_are_listed(path):
    torch.save({"weight": torch.zeros(3, 2), "gain": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="bias is missing; gain is unknown"):
        load_weights(nn.Linear(2, 3), path)


def test_only_the_first_differences_are_listed(path):
    torch.save({f"x{i}": torch.zeros(1) for i in range(9)}, path)
    with pytest.raises(ValueError, match="and 6 more"):
        load_weights(nn.Linear(2, 3), path)


def test_a_network_stays_as_it_was_when_the_file_does_not_fit(path):
    network = nn.Linear(2, 3)
    before = network.weight.clone()
    torch.save({"weight": torch.zeros(3, 2)}, path)
    with pytest.raises(ValueError):
        load_weights(network, path)
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize("content", [torch.zeros(2), [1, 2], {"model": 3}, {"weight": 1.0, "bias": "x"}])
def test_a_file_that_holds_no_weights_is_named(path, content):
    torch.save(content, path)
    with pytest.raises(ValueError, match="model.pt"):
        load_weights(nn.Linear(2, 3), path)


def test_weights_for_research_alone_say_so_when_they_are_loaded(path, caplog):
    torch.save(nn.Linear(2, 3).state_dict(), path)
    path.with_name("LICENSE").write_text("Terms\nResearch use: of unclear origin.\n")
    load_weights(nn.Linear(2, 3), path)
    assert caplog.messages == [f"{path}: Research use: of unclear origin."]
    path.with_name("LICENSE").write_text("Terms\nUse them as you like.\n")
    load_weights(nn.Linear(2, 3), path)
    assert len(caplog.messages) == 1


def test_a_folder_in_place_of_weights_is_named(tmp_path):
    with pytest.raises(ValueError, match="is a folder, expected weights: give the model.pt in it"):
        load_weights(nn.Linear(2, 3), tmp_path)


def test_a_missing_file_and_a_broken_file_are_named(path):
    with pytest.raises(ValueError, match="model.pt does not exist"):
        load_weights(nn.Linear(2, 3), path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="model.pt is no readable checkpoint"):
        load_weights(nn.Linear(2, 3), path)


def packed(path, **files):
    with ZipFile(path, "w") as package:
        for name, content in files.items():
            package.writestr(f"bundle/{name.replace('_', '/', 1).replace('_', '.')}", content)
    return path


def test_weights_in_a_packaged_bundle_are_loaded_and_their_digest_is_checked(path, tmp_path):
    source = nn.Linear(2, 3)
    torch.save(source.state_dict(), path)
    right, wrong = f"{sha256(path)}  model.pt", f"{'0' * 64}  model.pt"
    files = {"models_model_pt": path.read_bytes()}
    package = packed(tmp_path / "whole.zip", **files, models_SHA256SUMS=right)
    assert torch.equal(load_weights(nn.Linear(2, 3), package).weight, source.weight)
    with pytest.raises(ValueError, match="changed.zip is not the file that"):
        load_weights(nn.Linear(2, 3), packed(tmp_path / "changed.zip", **files, models_SHA256SUMS=wrong))


def test_damaged_weights_in_a_package_are_named_by_it(tmp_path):
    with pytest.raises(ValueError, match="junk.zip is no readable checkpoint"):
        load_weights(nn.Linear(2, 3), packed(tmp_path / "junk.zip", models_model_pt="junk"))
    path = packed(tmp_path / "cut.zip", models_model_pt="weights " * 99)
    path.write_bytes(path.read_bytes().replace(b"weights weights", b"weights WEIGHTS"))
    with pytest.raises(ValueError, match="cut.zip is no packaged bundle"):
        load_weights(nn.Linear(2, 3), path)


def test_a_package_without_weights_and_a_broken_one_are_named(tmp_path):
    with pytest.raises(ValueError, match="empty.zip holds no models/model.pt"):
        load_weights(nn.Linear(2, 3), packed(tmp_path / "empty.zip", LICENSE="free"))
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="broken.zip is no packaged bundle"):
        load_weights(nn.Linear(2, 3), tmp_path / "broken.zip")


def test_a_package_that_is_a_bomb_is_stopped(tmp_path, monkeypatch):
    with ZipFile(tmp_path / "bomb.zip", "w", ZIP_DEFLATED) as package:
        package.writestr("bundle/models/model.pt", b"0" * 3_000_000)
    monkeypatch.setattr(zips, "MOST_BYTES", 2_000_000)
    with pytest.raises(ValueError, match="bomb.zip unpacks to more than 2000000 bytes"):
        load_weights(nn.Linear(2, 3), tmp_path / "bomb.zip")


def test_a_full_disk_is_not_the_package_s_fault(tmp_path):
    package = packed(tmp_path / "whole.zip", models_model_pt=b"0" * 9999)
    with full_disk(1000), pytest.raises(OSError) as caught:
        load_weights(nn.Linear(2, 3), package)
    assert caught.value.errno == errno.EFBIG and not isinstance(caught.value, ValueError)
