"""Weights never stand beside the settings of another training."""

import pytest
import torch
import yaml

from noise2mask.bundles import settings_file
from noise2mask.files import load_plain
from noise2mask.handlers.model_files import save_model
from noise2mask.handlers.trained_on import read_images

from ..disk import kill_where_written


def save(path, number):
    save_model({"w": torch.tensor(number)}, path, {"image_size": [number, number]}, [str(number)])


def numbers(path):
    """Of the weights, of their settings and of their images."""
    size = yaml.safe_load(settings_file(path).read_text())["image_size"]
    return {int(load_plain(path)["w"]), *size, *map(int, read_images(path))}


def test_weights_take_the_place_of_others_with_all_that_is_theirs(tmp_path):
    for number in (8, 16):
        save(tmp_path / "model.pt", number)
        assert numbers(tmp_path / "model.pt") == {number} and len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["model.yaml", "model_images.json", "model.pt"])
def test_a_kill_leaves_no_weights_rather_than_some_with_the_settings_of_others(tmp_path, monkeypatch, name):
    path = tmp_path / "model.pt"
    save(path, 8)
    kill_where_written(monkeypatch, name)
    with pytest.raises(KeyboardInterrupt):
        save(path, 16)
    with pytest.raises(ValueError, match="model.pt does not exist"):
        load_plain(path)


def test_weights_that_can_not_be_saved_leave_the_old_ones(tmp_path):
    save(tmp_path / "model.pt", 8)
    with pytest.raises(Exception, match="pickle"):
        save_model({"w": lambda: None}, tmp_path / "model.pt", {"image_size": [16, 16]}, ["16"])
    assert numbers(tmp_path / "model.pt") == {8}
