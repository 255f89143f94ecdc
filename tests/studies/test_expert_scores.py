"""Accuracies by hand, and everything that is wrong with sheets at once."""

import json

import pytest

from noise2mask.metrics.interval import over_patients
from noise2mask.studies.expert_scores import (
    Answer,
    expert_table,
    read_key,
    read_sheets,
    scores_of,
    write_expert_scores,
)

KEY = {
    "001": Answer("benign", "real"),
    "002": Answer("malignant", "synthetic"),
    "003": Answer("malignant", "real"),
    "004": Answer("benign", "synthetic"),
}
HEAD = "id,class,real_or_synthetic,confidence\n"
RIGHT = HEAD + "".join(f"{own},{answer.shown},{answer.kind},3\n" for own, answer in KEY.items())


def sheet(folder, text, name="anna.csv"):
    (folder / name).write_text(text)
    return folder / name


def scored(folder, *texts):
    return scores_of(KEY, read_sheets([sheet(folder, text, f"{i}.csv") for i, text in enumerate(texts)], KEY))


def test_a_sheet_filled_from_the_key_scores_one(tmp_path):
    own = scored(tmp_path, RIGHT)["experts"]["0"]
    assert (own["class_real"], own["class_synthetic"], own["real_or_synthetic"], own["confidence"]) == (1, 1, 1, 3)
    assert own["interval"] == [1, 1] and own["holds_guessing"] is False


def test_a_sheet_that_calls_all_real_scores_a_half(tmp_path):
    own = scored(tmp_path, RIGHT.replace("synthetic,3", "real,3"))["experts"]["0"]
    assert own["real_or_synthetic"] == 0.5 and own["holds_guessing"] is True
    assert own["class_real"] == own["class_synthetic"] == 1


def test_scores_of_two_experts_by_hand(tmp_path):
    first = HEAD + "1,benign,real,1\n2,benign,real,2\n3,malignant,synthetic,3\n4,malignant,synthetic,5\n"
    result = scored(tmp_path, first, RIGHT)
    own, mean = result["experts"]["0"], result["mean"]
    assert (own["class_real"], own["class_synthetic"], own["real_or_synthetic"]) == (1, 0, 0.5)
    assert (mean["class_real"], mean["class_synthetic"], mean["real_or_synthetic"]) == (1, 0.5, 0.75)
    assert (own["confidence"], mean["confidence"]) == (11 / 4, (11 / 4 + 3) / 2)
    by_tile = over_patients([1.0, 0.5, 0.5, 1.0], list(KEY))  # experts share the tiles
    assert mean["interval"] == [by_tile.low, by_tile.high]


def test_the_paper_stands_beside_with_its_means(tmp_path):
    result = scored(tmp_path, RIGHT)
    table = expert_table(result)
    assert "| 0 | 100.0 | 100.0 | 100.0 | 100.0 to 100.0 | no | 3.00 |" in table
    assert "| paper, 2 | 76.0 | 78.0 | 70.5 | - | - | 2.80 |" in table
    assert "| paper, mean | 74.6 | 75.8 | 67.3 | - | - | 2.64 |" in table and "2 real and 2 synthetic" in table


def test_spreadsheets_may_change_ids_capitals_and_separators(tmp_path):
    text = RIGHT.replace("00", "").replace("real,", "REAL,").replace("benign", " Benign ").replace(",", ";")
    assert read_sheets([sheet(tmp_path, text)], KEY) == read_sheets([sheet(tmp_path, RIGHT)], KEY)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (RIGHT.replace("002", "009"), r"anna\.csv, line 3: id '009'; expected the ids of the key, 001 to 004"),
        (RIGHT.replace("002", "001"), r"line 3: id '001'; expected each id once"),
        (RIGHT.replace("003,malignant,real,3\n", ""), r"anna\.csv: id 003 missing; expected a line for every tile"),
        (RIGHT.replace("004,benign,synthetic", "004,benign,fake"), r"line 5: real_or_synthetic is 'fake'; expected"),
        (RIGHT.replace("002,malignant", "002,stroma"), r"line 3: class is 'stroma'; expected benign or malignant"),
        *((RIGHT.replace("real,3", f"real,{n}"), rf"confidence is '{n}'; expected 1 or 2") for n in ("0", "6", "2.5")),
        (RIGHT.replace(",3", ","), r"anna\.csv, lines 2, 3, 4, 5: confidence is empty; .*: fill it in"),
        (RIGHT.replace(",confidence", ",sure"), r"anna\.csv has no column confidence"),
    ],
)
def test_bad_sheets_are_named_with_their_line(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=said):
        read_sheets([sheet(tmp_path, wrong)], KEY)


def test_all_problems_of_all_sheets_are_said_at_once(tmp_path):
    first = sheet(tmp_path, HEAD + "001,benign,real,3\n002,,,\n003,,,\n004,stroma,real,9\n")
    second = sheet(tmp_path, RIGHT.replace("002", "008"), "bert.csv")
    with pytest.raises(ValueError) as error:
        read_sheets([first, second, tmp_path / "none.csv"], KEY)
    assert [problem.replace(f"{tmp_path}/", "").split(";")[0] for problem in error.value.problems] == [
        "anna.csv, line 5: class is 'stroma'",
        "anna.csv, line 5: confidence is '9'",
        "anna.csv, lines 3, 4: class is empty",
        "anna.csv, lines 3, 4: real_or_synthetic is empty",
        "anna.csv, lines 3, 4: confidence is empty",
        "bert.csv, line 3: id '008'",
        "bert.csv: id 002 missing",
        "none.csv does not exist",
    ]


def test_experts_are_told_apart_and_no_sheet_counts_twice(tmp_path):
    (tmp_path / "bert").mkdir()
    paths = [sheet(tmp_path, RIGHT), sheet(tmp_path / "bert", RIGHT)]
    assert list(read_sheets(paths, KEY)) == [str(path) for path in paths]
    with pytest.raises(ValueError, match=r"anna\.csv is given twice"):
        read_sheets([paths[0], paths[0]], KEY)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("001,benign,real,a\n001,benign,synthetic,b\n", "line 3 has '001'"),
        ("001,benign,real,a\n002,benign,fake,b\n", "line 3 has '002', 'benign', 'fake'"),
        ("001,benign,real,a\n", "it has no synthetic tile"),
    ],
)
def test_a_bad_key_is_named(tmp_path, lines, said):
    path = sheet(tmp_path, "id,class,real_or_synthetic,file\n" + lines, "key.csv")
    with pytest.raises(ValueError, match=rf"key\.csv can not be used(.|\n)*{said}"):
        read_key(path)


def test_json_and_table_are_written(tmp_path):
    lines = "".join(f"{own},{answer.shown},{answer.kind},x\n" for own, answer in KEY.items())
    key = sheet(tmp_path, "id,class,real_or_synthetic,file\n" + lines, "key.csv")
    table = write_expert_scores(key, [sheet(tmp_path, RIGHT)], tmp_path / "out")
    assert (tmp_path / "out/expert_study.md").read_text() == table
    result = json.loads((tmp_path / "out/expert_study.json").read_text())
    assert result["tiles"] == {"real": 2, "synthetic": 2} and result["mean"]["real_or_synthetic"] == 1
    assert result["paper"]["mean"]["confidence"] == pytest.approx(2.64)
