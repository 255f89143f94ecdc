"""What stands beside the weights is what inference must repeat, and nothing else."""

import pytest
import yaml

from noise2mask.bundles import settings_file
from noise2mask.handlers.model_settings import tell_other_settings, write_settings


def test_only_what_inference_shares_is_written_and_reads_back_equal(tmp_path):
    shared = {"image_size": [16, 24], "axcodes": None, "noise_schedule": {"_target_": "a.B", "beta_end": 2.0e-2}}
    write_settings({"epochs": 3, "dataset_dir": "secret", **shared}, tmp_path / "model.pt")
    assert yaml.safe_load(settings_file(tmp_path / "model.pt").read_text()) == shared


def test_nothing_is_mirrored_at_inference_where_nothing_is_in_training(tmp_path):
    config = {"augmentation": "random", "flip": 0.0, "flips": [[], [1]], "zooms": [1.0, 1.2]}
    write_settings(config, tmp_path / "model.pt")
    assert yaml.safe_load((tmp_path / "model.yaml").read_text()) == {"flips": [[]], "zooms": [1.0, 1.2]}
    write_settings(config | {"flip": 0.5}, tmp_path / "model.pt")
    assert yaml.safe_load((tmp_path / "model.yaml").read_text()) == {"flips": [[], [1]], "zooms": [1.0, 1.2]}


@pytest.mark.parametrize(("augmentation", "views"), [("random", [[], [1]]), ("none", [[]]), ("six_fold", [[]])])
def test_views_that_augmentation_has_not_shown_are_the_image_as_it_is(tmp_path, augmentation, views):
    config = {"augmentation": augmentation, "flips": [[], [1]], "image_size": [8, 8]}
    write_settings(config, tmp_path / "model.pt")
    assert yaml.safe_load(settings_file(tmp_path / "model.pt").read_text()) == {"image_size": [8, 8], "flips": views}


def test_without_a_config_nothing_is_written(tmp_path):
    write_settings({}, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_what_inference_has_otherwise_than_training_is_told_and_how_it_samples_is_its_own_affair(tmp_path, caplog):
    taught = {"image_size": [16, 24], "intensity_range": [0, 255], "steps": 2}
    write_settings(taught, tmp_path / "model.pt")
    tell_other_settings({**taught, "steps": 9, "output_dir": "x"}, tmp_path / "model.pt")
    tell_other_settings({"image_size": [8, 8]}, tmp_path / "other.pt")  # of which nothing is known
    assert not caplog.text
    tell_other_settings({**taught, "image_size": [16, 32]}, tmp_path / "model.pt")
    assert "model.pt was trained otherwise, and masks may be wrong: image_size::1 is 32, was 24. Give " in caplog.text
