"""What stands beside the weights is what inference must repeat, and nothing else."""

import pytest
import yaml

from noise2mask.bundles import settings_file
from noise2mask.handlers.model_settings import write_settings


def test_only_what_inference_shares_is_written_and_reads_back_equal(tmp_path):
    shared = {"image_size": [16, 24], "axcodes": None, "noise_schedule": {"_target_": "a.B", "beta_end": 2.0e-2}}
    write_settings({"epochs": 3, "dataset_dir": "secret", **shared}, tmp_path / "model.pt")
    assert yaml.safe_load(settings_file(tmp_path / "model.pt").read_text()) == shared


@pytest.mark.parametrize(("augmentation", "views"), [("random", {"flips": [[], [1]]}), ("none", {}), ("six_fold", {})])
def test_views_that_augmentation_has_not_shown_are_left_out(tmp_path, augmentation, views):
    config = {"augmentation": augmentation, "flips": [[], [1]], "image_size": [8, 8]}
    write_settings(config, tmp_path / "model.pt")
    assert yaml.safe_load(settings_file(tmp_path / "model.pt").read_text()) == {"image_size": [8, 8], **views}


def test_without_a_config_nothing_is_written(tmp_path):
    write_settings({}, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())
