"""Settings beside one another, with what would unmask a network that does not look at the image."""

import csv

import pytest

from noise2mask.diffusion.denoiser import Denoiser
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.studies.settings_study import SettingsStudy

from .conftest import Threshold

INFERER = EnsembleInferer(NoiseSchedule("linear", 20))


def test_every_row_stands_beside_another_condition_and_the_prior(toy, threshold, tmp_path):
    grid = {"samplers": ["ddim"], "steps": [1, 2], "samples": [1, 3], "starts": [None, 9]}
    rows = SettingsStudy(*toy, threshold, INFERER, output_dir=str(tmp_path), **grid).run()
    assert [(row["start"], row["steps"], row["samples"]) for row in rows] == [
        (start, steps, samples) for start in (None, 9) for steps in (1, 2) for samples in (1, 3)
    ]
    for row in rows:
        assert row["dice"] == row["dice_lesion"] == 1 and row["dice_of_another_condition"] == 0
        assert row["dice_of_the_prior"] == pytest.approx(2 / 3)  # patients a, b and c: 0, 1 and 1
        assert row["seconds_per_image"] > 0
    with open(tmp_path / "settings_study.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert (tmp_path / "settings_study.png").is_file()
    text = (tmp_path / "settings_study.md").read_text()
    assert text.count("| ddim | noise |") == text.count("| ddim | prior at 9 |") == 4
    assert "| 1.000 (1.000 to 1.000) | 1.000 (1.000 to 1.000) | 0.000 | 0.667 |" in text and "4 images. Policy:" in text


def test_the_prior_alone_sees_the_image_as_it_is(toy, threshold, tmp_path):
    grid = {"samplers": ["ddim"], "steps": [1], "samples": [2], "starts": [None]}
    plain, seen = (
        SettingsStudy(*toy, threshold, inferer, output_dir=str(tmp_path / str(n)), **grid).run()[0]
        for n, inferer in enumerate((INFERER, INFERER.changed(zooms=[0.2])))
    )
    assert seen["dice_of_the_prior"] == plain["dice_of_the_prior"] and seen["dice"] != plain["dice"]


class WithoutPrior(Threshold):
    """The same network without a coarse mask."""

    coarse = Denoiser.coarse


def test_a_network_without_a_prior_has_the_same_rows_without_its_column(toy, threshold, tmp_path):
    grid = {"samplers": ["ddim"], "steps": [1, 2], "samples": [1], "starts": [None]}
    tables = {}
    for name, network in (("with", threshold), ("without", WithoutPrior().eval())):
        rows = SettingsStudy(*toy, network, INFERER, output_dir=str(tmp_path / name), **grid).run()
        tables[name] = [{key: row[key] for key in row if key != "seconds_per_image"} for row in rows]
    assert tables["without"] == [{k: row[k] for k in row if "prior" not in k} for row in tables["with"]]
    text = (tmp_path / "without" / "settings_study.md").read_text()
    assert "prior" not in text and "| 1.000 (1.000 to 1.000) | 1.000 (1.000 to 1.000) | 0.000 |" in text


def test_a_start_from_a_coarse_mask_that_is_not_made_is_refused(toy, tmp_path):
    grid = {"samplers": ["ddim"], "steps": [1], "samples": [1], "starts": [None, 9]}
    with pytest.raises(ValueError, match=r"starts are \[None, 9\], but this network makes no coarse mask"):
        SettingsStudy(*toy, WithoutPrior().eval(), INFERER, output_dir=str(tmp_path), **grid)


def test_a_set_without_a_lesion_or_another_patient_has_rows_all_the_same(toy, threshold, tmp_path):
    dataset, preprocessing = toy
    item = dataset[0]
    item["label"] = item["label"] * 0
    grid = {"samplers": ["ddim"], "steps": [1], "samples": [1], "starts": [None]}
    for _ in range(2):  # computed, and read again
        (row,) = SettingsStudy([item], preprocessing, threshold, INFERER, output_dir=str(tmp_path), **grid).run()
        assert row["dice"] == 0 and row["dice_lesion"] is row["dice_of_another_condition"] is None
        assert "| ddim | noise | 1 | 1 | 0.000 | - | - | - |" in (tmp_path / "settings_study.md").read_text()


def test_too_many_steps_are_refused_before_anything_is_sampled(toy, threshold, tmp_path):
    grid = {"samplers": ["ddim"], "steps": [30], "samples": [1], "starts": [None]}
    with pytest.raises(ValueError, match="steps is 30, expected 1 to 20"):
        SettingsStudy(*toy, threshold, INFERER, output_dir=str(tmp_path), **grid)
