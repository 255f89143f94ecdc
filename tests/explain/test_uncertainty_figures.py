"""Maps of one case, reliability and triage of all: the numbers behind the pictures."""

import csv
import json

import numpy as np
import pytest

from noise2mask.explain.case_file import case_path, write_case
from noise2mask.explain.uncertainty_figures import UncertaintyFigures, write_reliability, write_triage

from .test_case_file import record


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_means_of_a_case_are_those_of_its_maps(tmp_path):
    samples = np.zeros((2, 4, 4), np.uint8)
    samples[1, 0, :2] = 1  # the samples disagree about two of 16 pixels
    half = np.full((4, 4), 51, np.uint8)  # a fifth
    case = record(shape=(4, 4))._replace(samples=samples, std=half, entropy=half)
    write_case(case, case_path(tmp_path, "a"))
    (row,) = UncertaintyFigures([{"image": "a.png"}], str(tmp_path), str(tmp_path)).run()
    assert row["case"] == "a" and row["triage"] == 0.25
    assert (row["std_mean"], row["entropy_part"], row["samples_disagree"]) == pytest.approx((0.1, 0.2, 0.125))
    assert (tmp_path / "uncertainty_a.png").is_file() and not (tmp_path / "reliability.png").exists()


def test_bins_become_frequencies_and_empty_ones_are_left_out(tmp_path):
    bins = {"pixels": [10.0, 0.0, 4.0], "probability": [1.0, 0.0, 3.6], "label": [2.0, 0.0, 3.0]}
    write_reliability(bins, tmp_path / "reliability.png")
    rows = [[float(value) for value in row.values()] for row in table(tmp_path / "reliability.csv")]
    assert rows == [pytest.approx([10, 0.1, 0.2]), pytest.approx([4, 0.9, 0.75])]


def test_of_several_structures_a_case_has_their_mean_dice(tmp_path):
    lines = [("a.png", "0.5", "0.25"), ("a.png", "1.0", "0.25"), ("b.png", "0", "0.75")]
    cases = [dict(zip(("image", "dice", "triage"), line, strict=True)) for line in lines]
    write_triage(cases, tmp_path / "triage.png")
    rows = [(row["image"], float(row["triage"]), float(row["dice"])) for row in table(tmp_path / "triage.csv")]
    assert rows == [("a.png", 0.25, 0.75), ("b.png", 0.75, 0)]


def test_with_scores_both_diagrams_are_drawn(tmp_path):
    write_case(record(shape=(4, 4)), case_path(tmp_path, "a"))
    bins = {"calibration": {"pixels": [16.0], "probability": [4.0], "label": [3.0]}}
    (tmp_path / "scores.json").write_text(json.dumps(bins))
    (tmp_path / "cases.csv").write_text("image,dice,triage\na.png,0.5,0.25\n")
    UncertaintyFigures([{"image": "a.png"}], str(tmp_path), str(tmp_path), labelled=True).run()
    assert {"reliability.png", "reliability.csv", "triage.png", "triage.csv"} <= {p.name for p in tmp_path.iterdir()}
