"""Splits that a table gives."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from noise2mask.data.assigned_split import COLUMNS, assigned
from noise2mask.data.datalist import load_datalist, main
from noise2mask.data.layout_folder import folder_datalist
from noise2mask.data.splits import KEYS

TABLE = "image,group,split\na,p1,train\nb.png,p1,train\nc,p2,val\nd,p3,test\n"
BUNDLES = Path(__file__).parents[2] / "bundles"
CARDS = {BUNDLES / name / "docs" / "split.csv": "shipped" for name in ("pgdiffseg", "medsegdiff", "medsegdiff_v2")}
CARDS[BUNDLES / "medsegdiff_v2" / "docs" / "split_skin.csv"] = "skin_ham10000"


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
    assert "training 2, validation 1, testing 1, left out 1, split by split.csv" in capsys.readouterr().out
    assert [item["patient"] for item in load_datalist(folder / "list.json", "testing")] == ["p3"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("group", "set", "has no column group: give a table .* with the columns image, group, split"),
        ("c,p2", "x,p2", "x is not in the data set"),
        ("c,p2", "a,p1", "a is listed 2 times"),
        ("val", "dev", "c has split 'dev', expected train, val or test"),
        ("c,p2", "c,p1", r"patient p1 is in several splits \(training, validation\)"),
        ("c,p2", "c,", "c has no group: give it its patient, or its own name"),
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


def test_a_table_in_another_encoding_is_named(folder):
    path = written(folder, "")
    path.write_bytes("image,group,split\nä,p,train\n".encode("latin-1"))
    with pytest.raises(ValueError, match="split.csv can not be read .* UTF-8"):
        assigned(folder_datalist(folder), path)


def test_two_images_of_one_name_are_refused_and_folders_of_dicom_files_are_found(folder):
    items = [{"image": "one/a.png"}, {"image": "other/a.png"}, {"image": "series/b", "group_by": "patient"}]
    content = {"training": items, "validation": [], "testing": []}
    with pytest.raises(ValueError, match="2 images are called a: rename all but one"):
        assigned(content, written(folder, "image,group,split\na,p1,train\n"))
    found = assigned(content, written(folder, "image,group,split\nb,p1,test\n"))
    assert found["testing"] == [{"image": "series/b", "patient": "p1"}] and found["group_by"] == "group"


@pytest.mark.parametrize(
    ("path", "result"), CARDS.items(), ids=[f"{path.parents[1].name}/{path.stem}" for path in CARDS]
)
def test_the_splits_of_the_cards_are_those_of_their_scores(path, result):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    items = [{"image": f"{row['image']}.png"} for row in rows]
    found = assigned({"training": items, "validation": [], "testing": []}, path)
    assert sum(len(found[key]) for key in KEYS) == len(rows) and all(found[key] for key in KEYS)
    cases = json.loads((path.parent / "results" / f"{result}.json").read_text())["cases"]
    images = {case.get("image", number): case["patient"] for number, case in enumerate(cases)}
    sizes = (Counter(images.values()), Counter(item["patient"] for item in found["testing"]))
    assert sorted(sizes[0].values()) == sorted(sizes[1].values())  # of the groups of the test images
