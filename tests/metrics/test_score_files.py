"""The three files of an evaluation."""

import csv
import json

import pytest
import torch

from noise2mask.metrics.case_scores import case_scores, summarise
from noise2mask.metrics.score_files import csv_text, write_scores

from ..disk import kill_where_written

LABEL = torch.tensor([[1.0, 1.0], [0.0, 0.0]])


def cases():
    for name, mask, label in (("a", LABEL, LABEL), ("b", LABEL * 0, LABEL)):
        scores = case_scores(mask, label, mask, mask[None])
        yield {"image": f"{name}.png", "patient": name, "triage": 0.0, **scores}


def test_a_line_per_case_without_bins_and_with_empty_fields_for_no_number(tmp_path):
    write_scores(list(cases()), summarise(list(cases())), tmp_path)
    with open(tmp_path / "cases.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["dice"] == "1.0" and second["dice"] == "0.0" and second["hd95"] == ""
    assert "calibration_bins" not in first


def test_the_summary_is_json_without_nan(tmp_path):
    write_scores(list(cases()), summarise(list(cases())) | {"seed": 3}, tmp_path)
    summary = json.loads((tmp_path / "scores.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert summary["means"]["dice"] == 0.5 and summary["seed"] == 3
    assert summary["triage"]["spearman_with_dice"] is None


@pytest.mark.parametrize("name", ["cases.csv", "scores.md", "scores.json"])
def test_a_kill_leaves_no_summary_of_other_cases(tmp_path, monkeypatch, name):
    write_scores(list(cases()), summarise(list(cases())), tmp_path)
    kill_where_written(monkeypatch, name)
    with pytest.raises(KeyboardInterrupt):
        write_scores(list(cases())[:1], summarise(list(cases())[:1]), tmp_path)
    assert not (tmp_path / "scores.json").exists()


def test_the_table_says_what_its_numbers_mean(tmp_path):
    write_scores(list(cases()), summarise(list(cases())), tmp_path)
    text = (tmp_path / "scores.md").read_text()
    assert "| Dice | 0.500 | 0.000 to 1.000 | 0.500 | 0.667 |" in text
    assert "| HD95 (pixel) | 0.000 | - | 0.000 | - |" in text
    assert "Policy: mask = fused probability > 0.5" in text and "hd95 left out: 1" in text


@pytest.mark.parametrize(
    ("group_by", "head", "said", "counted"),
    [
        ("patient", "mean over patients |", "interval over patients;", "patients: 2"),
        ("group", "mean over groups (patients not known) |", "interval over groups;", "groups: 2"),
        ("image", "mean over images (patients not known) |", "interval over images;", "images: 2"),
    ],
)
def test_the_table_says_over_what_its_means_are(tmp_path, group_by, head, said, counted):
    some = [{**case, "group_by": group_by} for case in cases()]
    write_scores(some, summarise(some), tmp_path)
    text = (tmp_path / "scores.md").read_text()
    assert head in text and said in text and counted in text and ("patients: " in text) == (group_by == "patient")
    assert json.loads((tmp_path / "scores.json").read_text())["group_by"] == group_by


def test_distances_in_pixels_and_mm_have_no_mean(tmp_path):
    first, second = cases()
    some = [first, {**second, "hd95": 4.0, "hd95_unit": "mm"}]
    write_scores(some, summarise(some), tmp_path)
    scores, text = json.loads((tmp_path / "scores.json").read_text()), (tmp_path / "scores.md").read_text()
    assert scores["means"]["hd95"] is scores["means_over_images"]["hd95"] is None
    assert scores["intervals"]["hd95"] == [None, None] and scores["counts"]["hd95_left_out"] == 0
    assert "| HD95 (mm and pixel) | - | - | - | - |" in text and "HD95 has no mean: it is in mm and pixel" in text


def test_columns_of_all_rows_stand_in_a_csv():
    assert csv_text([{"a": 1}, {"a": float("nan"), "b": 2}]) == "a,b\n1,\n,2\n"
