"""A datalist survives its file, can be moved, and gives configs their items."""

import json
import shutil

import pytest

from noise2mask.data.datalist import datalist, load_datalist, main, replace_datalist, write_datalist
from noise2mask.data.inputs import find_inputs
from noise2mask.data.layout_busi import busi_datalist
from noise2mask.data.layout_folder import folder_datalist
from noise2mask.data.splits import KEYS


@pytest.fixture
def folder(tmp_path):
    for name in ("data/images", "data/masks"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(10):
            (tmp_path / name / f"{i}.png").touch()
    return tmp_path / "data"


def test_written_and_loaded_items_are_the_same(folder, tmp_path):
    content = folder_datalist(folder)
    for path in (folder / "datalist.json", tmp_path / "elsewhere" / "list.json"):
        write_datalist(content, path)
        assert [load_datalist(path, key) for key in KEYS] == [content[key] for key in KEYS]


def test_a_data_set_can_be_moved_with_its_datalist(folder, tmp_path):
    write_datalist(folder_datalist(folder), folder / "datalist.json")
    moved = shutil.move(folder, tmp_path / "moved")
    assert datalist(moved, "testing")[0]["image"].startswith(str(tmp_path / "moved" / "images"))


def test_a_patient_named_like_a_file_stays_a_name(folder):
    (folder / "3").touch()
    path = write_datalist(folder_datalist(folder), folder / "datalist.json")
    assert {item["patient"] for key in KEYS for item in load_datalist(path, key)} == set("0123456789")


def test_lists_of_masks_are_made_absolute(tmp_path):
    items = [{"image": "a.png", "label": ["m.png", "n.png"], "patient": "1"}, {"image": "b.png"}]
    (tmp_path / "d.json").write_text(json.dumps({"training": items}))
    first, second = load_datalist(tmp_path / "d.json", "training")
    assert first["label"] == [str(tmp_path / "m.png"), str(tmp_path / "n.png")]
    assert second == {"image": str(tmp_path / "b.png")}


def test_a_datalist_file_goes_before_the_folder(folder):
    content = folder_datalist(folder)
    write_datalist({**content, "training": content["training"][:1]}, folder / "datalist.json")
    assert datalist(folder, "training") == content["training"][:1]


def test_items_say_what_their_patient_is_where_that_is_asked_and_known(folder):
    assert "group_by" not in datalist(folder, "testing")[0]
    assert datalist(folder, "testing", group_by=True)[0]["group_by"] == "image"
    rows = "".join(f"{i}.png,p{i}\n" for i in range(10))
    (folder / "manifest.csv").write_text("image,patient\n" + rows)
    path = write_datalist(folder_datalist(folder), folder / "datalist.json")
    assert {item["group_by"] for item in datalist(folder, "testing", group_by=True)} == {"patient"}
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "group_by": "ward"}))
    with pytest.raises(ValueError, match="group_by is 'ward', expected one of patient, group, image"):
        datalist(folder, "testing")
    del content["group_by"]
    path.write_text(json.dumps(content))
    assert "group_by" not in datalist(folder, "testing", group_by=True)[0]


def test_without_a_file_the_layout_decides(folder):
    assert datalist(folder, "training") == folder_datalist(folder)["training"]
    assert datalist(folder, "training", "busi") == busi_datalist(folder)["training"]


def test_unknown_and_empty_keys_are_refused(folder):
    with pytest.raises(
        ValueError, match="The section is 'train', expected one of training, validation, testing: change section"
    ):
        datalist(folder, "train")
    (folder / "datalist.json").write_text('{"training": [{"image": "a"}]}')
    with pytest.raises(ValueError, match="no images for testing .training 1, validation 0, testing 0"):
        datalist(folder, "testing")


def test_a_broken_or_missing_file_and_an_unknown_layout_are_named(folder, tmp_path):
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(ValueError, match="d.json is not JSON"):
        load_datalist(tmp_path / "d.json", "training")
    with pytest.raises(ValueError, match="e.json does not exist"):
        load_datalist(tmp_path / "e.json", "training")
    with pytest.raises(ValueError, match="expected one of folder, busi"):
        datalist(folder, "training", "coco")


def test_the_command_writes_beside_the_data_and_says_what_is_wrong(folder, tmp_path, capsys):
    main([str(folder)])
    assert "training 7, validation 1, testing 2, split by image" in capsys.readouterr().out
    assert len(load_datalist(folder / "datalist.json", "training")) == 7
    with pytest.raises(SystemExit):
        main([str(tmp_path / "nowhere")])
    assert "nowhere does not exist" in capsys.readouterr().err


def test_an_edited_datalist_stays_beside_the_one_that_is_written_again(folder, tmp_path):
    content, path = folder_datalist(folder), tmp_path / "datalist.json"
    assert replace_datalist(content, path) is None
    edited = path.read_text().replace('"patient": "3"', '"patient": "anna"')
    path.write_text(edited)
    former = replace_datalist(content, path)
    assert former == tmp_path / "datalist_previous.json" and former.read_text() == edited
    assert replace_datalist(content, path) is None and former.read_text() == edited  # the same again replaces nothing
    assert load_datalist(path, "training") == content["training"]


def test_a_datalist_is_never_half_written(folder, tmp_path):
    path = write_datalist(folder_datalist(folder), tmp_path / "datalist.json")
    (tmp_path / "open.json").hardlink_to(path)  # as a training sees it that is reading just now
    before = path.read_text()
    write_datalist({"training": [], "layout": "other"}, path)
    assert (tmp_path / "open.json").read_text() == before != path.read_text()


def test_a_patient_in_two_sections_of_a_file_is_refused(tmp_path):
    items = [{"image": f"{i}.png", "label": f"{i}.png", "patient": f"p{i // 2}"} for i in range(4)]
    content = {"training": items[:1], "validation": items[1:2], "testing": items[2:]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"patient p0 is in several splits \(training, validation\)"):
        load_datalist(tmp_path / "datalist.json", "testing")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "it is no object with training, validation, testing"),
        ({"training": {}}, "training is no list"),
        ({"testing": ["a.png"]}, r"testing\[0\] is 'a.png', expected an object with the path of an \"image\""),
        ({"testing": [{"image": "a"}, {"label": "b"}]}, r"testing\[1\] is"),
        ({"testing": [{"image": "a", "label": None}]}, r'testing\[0\] has a "label"'),
    ],
)
def test_a_file_of_another_form_is_refused_by_item(tmp_path, content, message):
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        load_datalist(tmp_path / "datalist.json", "testing")
    assert "datalist.json cannot be used" in str(caught.value)


def test_paths_of_annotations_move_with_the_file(tmp_path):
    item = {"image": "a.png", "label": "b.png", "annotations": ["c.png", "d.png"], "patient": "p"}
    content = {"training": [item], "validation": [], "testing": []}
    path = write_datalist(content, tmp_path / "datalist.json")
    assert load_datalist(path, "training")[0]["annotations"] == [str(tmp_path / "c.png"), str(tmp_path / "d.png")]


def test_the_modalities_of_a_case_are_a_list_that_survives_its_file(tmp_path):
    item = {"image": [str(tmp_path / "t1.nii.gz"), str(tmp_path / "t2.nii.gz")], "label": str(tmp_path / "s.nii.gz")}
    path = write_datalist({"training": [item]}, tmp_path / "d.json")
    assert json.loads(path.read_text())["training"][0]["image"] == ["t1.nii.gz", "t2.nii.gz"]
    assert datalist(path, "training") == [item] and find_inputs(path, "training") == [{"image": item["image"]}]


@pytest.mark.parametrize("image", [[], "", [3], 3])
def test_an_image_that_is_no_path_is_refused(tmp_path, image):
    (tmp_path / "d.json").write_text(json.dumps({"training": [{"image": image}]}))
    with pytest.raises(ValueError, match='the path of an "image", or a list of paths'):
        load_datalist(tmp_path / "d.json", "training")
