"""A score knows which of its images the weights were trained on."""

import pytest

from noise2mask.digest import sha256
from noise2mask.handlers.trained_on import digests_of, images_file, read_images, write_images


def test_what_was_trained_on_is_known_by_content(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    items = [{"image": str(tmp_path / name), "label": "x"} for name in ("a", "b", "a")]
    write_images(digests_of(items), tmp_path / "model.pt")
    known = read_images(tmp_path / "model.pt")
    (tmp_path / "b").rename(tmp_path / "renamed")
    assert len(known) == 2 and sha256(tmp_path / "renamed") in known and sha256(tmp_path / "c") not in known
    assert str(tmp_path) not in images_file(tmp_path / "model.pt").read_text()


def test_where_nothing_is_known_nothing_is_said(tmp_path):
    write_images(digests_of([{"image": object()}, 3]), tmp_path / "model.pt")
    assert read_images(tmp_path / "model.pt") is None


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_damaged_file_is_named(tmp_path, text):
    images_file(tmp_path / "model.pt").write_text(text)
    with pytest.raises(ValueError, match="model_images.json can not be read"):
        read_images(tmp_path / "model.pt")


def test_every_modality_of_a_case_is_known(tmp_path):
    for name in ("t1", "t2"):
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / "t1"), str(tmp_path / "t2")]
    assert digests_of([{"image": paths}, {"image": paths[0]}]) == sorted(map(sha256, paths))
