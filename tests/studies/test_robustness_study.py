"""Scores under corruption on a toy whose boxes are found by their brightness."""

import csv
import json

import pytest
import torch
from monai.data import Dataset
from monai.transforms import Compose

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.studies import robustness_study
from noise2mask.studies.robustness_study import RobustnessStudy
from noise2mask.transforms.corruption import corrupting

from .conftest import Threshold

INFERER = EnsembleInferer(NoiseSchedule("linear", 20), samples=2)
NONE = {"noise": [0.0], "blur": [0], "contrast": [1], "crop": [1.0]}


def study(toy, network, folder, severities, inferer=INFERER):
    return RobustnessStudy(toy[0], network, inferer, severities, str(folder))


def numbers(row):
    return {name: value for name, value in row.items() if name not in ("corruption", "severity")}


def test_what_changes_nothing_has_the_row_of_the_images_as_they_are(toy, threshold, tmp_path):
    first, *others = study(toy, threshold, tmp_path, NONE).run()
    assert (first["corruption"], first["severity"], first["dice"], first["images"]) == ("none", None, 1, 4)
    assert first["triage"] == 0 and first["triage_spearman_with_dice"] is None
    assert [row["corruption"] for row in others] == list(NONE)
    assert all(numbers(row) == numbers(first) for row in others)


def test_scores_are_means_over_patients_of_what_the_worse_images_give(toy, threshold, tmp_path):
    # boxes at rows 0, 4, 8 and 12 of 16 and columns 0, 6, 12 and 18 of 24: two are seen, and others do not count
    rows = study(toy, threshold, tmp_path, {"crop": [0.5], "contrast": [0.5, 0.01]}).run()
    dice = {(row["corruption"], row["severity"]): row["dice"] for row in rows}
    assert dice == {("none", None): 1, ("crop", 0.5): 1, ("contrast", 0.5): 1, ("contrast", 0.01): 0}


class Everywhere(Threshold):
    """Segments everything."""

    def encode(self, image):
        return super().encode(torch.ones_like(image))


def test_what_is_cut_off_is_neither_missed_nor_false(toy, tmp_path):
    clean, crop = study(toy, Everywhere().eval(), tmp_path, {"crop": [0.5]}).run()
    box, whole, seen = 4 * 6, 16 * 24, 8 * 12
    assert clean["dice"] == pytest.approx(2 * box / (box + whole))
    found = 2 * box / (box + seen)  # of the second image of a, and of b's; others have no box left, and a false mask
    assert crop["dice"] == pytest.approx((found / 2 + found + 0) / 3)
    assert crop["expected_calibration_error"] == pytest.approx(((1 - box / seen / 2) + (1 - box / seen) + 1) / 3)


def test_an_interrupted_study_goes_on_to_the_rows_of_an_uninterrupted_one(toy, threshold, tmp_path, monkeypatch):
    def interrupted(read, corruption, severity):
        if severity == 0.6:
            raise KeyboardInterrupt
        return corrupting(read, corruption, severity)

    severities = {"noise": [0.3, 0.6], "blur": [0.2]}
    expected = study(toy, threshold, tmp_path / "whole", severities).run()
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(robustness_study, "corrupting", interrupted)
        study(toy, threshold, tmp_path / "other", severities).run()
    assert study(toy, threshold, tmp_path / "other", severities).run() == expected
    with open(tmp_path / "whole" / "robustness_study.csv", newline="") as file:
        assert [row["severity"] for row in csv.DictReader(file)] == ["", "0.3", "0.6", "0.2"]
    text = (tmp_path / "other" / "robustness_study.md").read_text()
    assert "| nothing changed | 1.000 (1.000 to 1.000) |" in text and "| noise 0.6 | " in text
    assert "4 images. Policy: mask = fused probability > 0.5" in text
    assert (tmp_path / "other" / "robustness_study.png").is_file()


def test_neither_order_nor_other_images_change_a_row(toy, threshold, tmp_path):
    dataset = toy[0]
    turned = (Dataset(dataset.data[::-1], dataset.transform), None)
    first, second = (
        study(own, threshold, tmp_path / str(i), {"noise": [0.5]}).run() for i, own in enumerate((toy, turned))
    )
    assert 0 < first[1]["dice"] < 1
    assert second[1] == pytest.approx(first[1])


def test_one_sample_has_no_triage_number(toy, threshold, tmp_path):
    rows = study(toy, threshold, tmp_path, {"noise": [0.5]}, INFERER.changed(samples=1)).run()
    assert [row["triage"] for row in rows] == [None, None]
    assert json.loads((tmp_path / "robustness_study.json").read_text())["rows"]["noise 0.5"] == rows[1]


@pytest.mark.parametrize(
    ("severities", "said"),
    [
        ({"noise": [0.1, -1]}, "A severity of noise is -1, expected a number from 0 up"),
        ({"noise": 0.1}, r"The severities of noise are 0.1, expected a list, such as \[0.5\]"),
        ({"rain": [1]}, "A corruption is 'rain', expected one of noise, blur"),
        ({"noise": [], "crop": []}, "There are no severities"),
    ],
)
def test_severities_that_are_none_are_refused_before_anything_is_read(threshold, tmp_path, severities, said):
    with pytest.raises(ValueError, match=said):
        study((None, None), threshold, tmp_path, severities)
    assert not list(tmp_path.iterdir())


def test_an_image_that_is_refused_when_it_is_worse_is_named_with_what_was_done_to_it(toy, threshold, tmp_path):
    def refuse(data):
        if data["image"].max() < 200:
            raise ValueError("b.png has no region brighter than what is around it.")
        return data

    dataset = Dataset(
        toy[0].data, Compose([*toy[0].transform.transforms[:3], refuse, *toy[0].transform.transforms[3:]])
    )
    with pytest.raises(
        ValueError, match="b.png has no region brighter .* This is with blur 0.2: leave this severity out"
    ):
        study((dataset, None), threshold, tmp_path, {"blur": [0.001, 0.2]}).run()
    assert len(json.loads((tmp_path / "robustness_study.json").read_text())["rows"]) == 2
