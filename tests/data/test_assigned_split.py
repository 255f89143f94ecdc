"""Splits that a table gives."""

import csv
from pathlib import Path

import pytest

from noise2mask.data.assigned_split import COLUMNS, assigned
from noise2mask.data.datalist import load_datalist, main
from noise2mask.data.layout_folder import folder_datalist
from noise2mask.data.splits import KEYS

TABLE = "image,group,split\na,p1,train\nb.png,p1,train\nc,p2,val\nd,p3,test\n"
CARDS = sorted((Path(__file__).parents[2] / "bundles").glob("*/docs/split.csv"))


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for stem in "abcde":
            (tmp_path / name / f"{stem}.png").touch()
    return tmp_path


def written(folder, text):
    (folder / "split.csv").write_text(text)
    return folder / "split.csv"


def test_images_go_where_the_table_says_and_others_are_left_out(folder):
    found = assigned(folder_datalist(folder), written(folder, TABLE))
    names = {key: [(Path(item["image"]).stem, item["patient"]) for item in found[key]] for key in KEYS}
    assert names == {"training": [("a", "p1"), ("b", "p1")], "validation": [("c", "p2")], "testing": [("d", "p3")]}
    assert found["group_by"] == "group" and all(item["label"] for key in KEYS for item in found[key])


def test_the_command_writes_the_datalist_of_it(folder, capsys):
    main([str(folder), "--assign", str(written(folder, TABLE)), "--output", str(folder / "list.json")])
    assert "training 2, validation 1, testing 1, split by split.csv" in capsys.readouterr().out
    assert [item["patient"] for item in load_datalist(folder / "list.json", "testing")] == ["p3"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("group", "set", "has no column group, expected image, group, split"),
        ("c,p2", "x,p2", "x is not in the data set"),
        ("c,p2", "a,p1", "a is listed 2 times"),
        ("val", "dev", "split is 'dev', expected one of train, val, test"),
        ("c,p2", "c,p1", "group p1 is in train and val"),
    ],
)
def test_a_table_that_can_not_be_followed_is_refused(folder, old, new, words):
    path = written(folder, TABLE.replace(old, new, 1))
    with pytest.raises(ValueError, match=words) as caught:
        assigned(folder_datalist(folder), path)
    assert str(path) in str(caught.value)


def test_a_missing_table_is_named(folder, capsys):
    with pytest.raises(SystemExit):
        main([str(folder), "--assign", str(folder / "none.csv")])
    assert "none.csv can not be read" in capsys.readouterr().err


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parents[1].name)
def test_the_splits_of_the_cards_have_no_group_in_two_parts(path, tmp_path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) > 200
    items = [{"image": f"{row['image']}.png"} for row in rows]
    found = assigned({"training": items, "validation": [], "testing": []}, path)
    assert sum(len(found[key]) for key in KEYS) == len(rows) and all(found[key] for key in KEYS)
