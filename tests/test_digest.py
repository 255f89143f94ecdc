"""A published file is the one that was published, or it is refused."""

import hashlib

import pytest
import torch

from noise2mask.bundles import find_bundle
from noise2mask.digest import check_published, sha256
from noise2mask.files import load_plain


@pytest.fixture
def published(tmp_path):
    """Weights with their SHA256SUMS."""
    torch.save({"a": torch.arange(3)}, tmp_path / "model.pt")
    digest = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  model.pt\n")
    return tmp_path / "model.pt"


def test_the_digest_of_a_folder_knows_names_and_contents(tmp_path):
    (tmp_path / "one").write_bytes(b"x")
    first = sha256(tmp_path)
    (tmp_path / "one").rename(tmp_path / "two")
    assert sha256(tmp_path) != first
    (tmp_path / "two").rename(tmp_path / "one")
    assert sha256(tmp_path) == first and sha256(tmp_path / "none") == ""


def test_published_weights_load(published):
    assert load_plain(published)["a"].tolist() == [0, 1, 2]


def test_a_changed_byte_that_would_load_is_refused(published):
    content = published.read_bytes()
    position = content.index(torch.arange(3).numpy().tobytes())
    published.write_bytes(content[:position] + b"\x07" + content[position + 1 :])
    with pytest.raises(ValueError, match="model.pt is not the file that .*SHA256SUMS lists: get it again"):
        load_plain(published)
    published.with_name("SHA256SUMS").unlink()
    assert load_plain(published)["a"].tolist() == [7, 1, 2]


def test_what_is_not_listed_is_not_checked(published):
    torch.save({}, published.with_name("last.pt"))
    assert load_plain(published.with_name("last.pt")) == {}


def test_settings_beside_weights_are_checked_too(published):
    settings = published.with_suffix(".yaml")
    settings.write_text("steps: 2\n")
    with open(published.with_name("SHA256SUMS"), "a") as file:
        file.write(f"{sha256(settings)} *model.yaml\n")
    check_published(settings)
    settings.write_text("steps: 3\n")
    with pytest.raises(ValueError, match="model.yaml is not the file"):
        find_bundle("pgdiffseg").inference_configs(published, [])
