"""TN3K as downloaded, and DDTI's outlines as masks."""

import json

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.datalist import build
from noise2mask.data.ddti_outlines import main, outlines_of, write_plain_folder
from noise2mask.data.fingerprint import survey
from noise2mask.data.layout_ddti import FOLD, ddti_datalist
from noise2mask.data.layouts import MASK_VALUES, layout_of
from noise2mask.data.splits import KEYS


def write(folder, part, numbers):
    for kind in ("image", "mask"):
        (folder / f"{part}-{kind}").mkdir(exist_ok=True)
        for n in numbers:
            values = np.zeros((16, 16), np.uint8)
            values[4:12, 4:12] = 255 if kind == "mask" else 90 + n
            Image.fromarray(values).save(folder / f"{part}-{kind}" / f"{n:04d}.jpg")


@pytest.fixture
def tn3k(tmp_path):
    write(tmp_path, "trainval", range(8))
    write(tmp_path, "test", range(2))
    return tmp_path


def names(content, key):
    return [item["image"].rsplit("/", 1)[1][:4] for item in content[key]]


def test_the_fold_of_tn3k_splits_and_its_test_pictures_test(tn3k):
    (tn3k / FOLD).write_text(json.dumps({"train": [7, 0, 1, 2, 4, 5], "val": [3, 6]}))
    content = ddti_datalist(tn3k)
    assert names(content, "validation") == ["0003", "0006"] and names(content, "testing") == ["0000", "0001"]
    assert sorted(names(content, "training")) == ["0000", "0001", "0002", "0004", "0005", "0007"]
    assert content["testing"][0]["label"] == str(tn3k / "test-mask" / "0000.jpg") and layout_of(tn3k) == "ddti"


def test_without_a_fold_validation_is_drawn(tn3k):
    assert [len(ddti_datalist(tn3k)[key]) for key in KEYS] == [7, 1, 2]


def test_a_check_cuts_the_lossy_masks_in_the_middle(tn3k):
    found = survey(build(tn3k, "ddti", "folder"), values=MASK_VALUES["ddti"])
    assert found.problems == [] and found.fingerprint["lesion_share_of_image"]["median"] == pytest.approx(
        0.25, abs=0.02
    )


def test_masks_whose_values_are_all_background_are_refused(tn3k):
    for path in tn3k.glob("*-mask/*.jpg"):
        Image.fromarray(np.full((16, 16), 100, np.uint8)).save(path)
    assert (
        "no mask holds a value of the foreground (128, 129"
        in survey(build(tn3k, "ddti", "folder"), values=MASK_VALUES["ddti"]).problems[0]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "can not be read"),
        ("[]", 'expected lists "train" and "val"'),
        ('{"train": [0, 1], "val": [1]}', "has 3 numbers up to 1; expected each of 0 to 7 once"),
        ('{"train": ["a"], "val": [1]}', "can not be read"),
    ],
)
def test_a_malformed_fold_is_named(tn3k, text, words):
    (tn3k / FOLD).write_text(text)
    with pytest.raises(ValueError, match=f"{FOLD} .*") as error:
        ddti_datalist(tn3k)
    assert words in str(error.value)


def test_what_stands_alone_is_named(tn3k):
    (tn3k / "trainval-mask" / "0003.jpg").unlink()
    with pytest.raises(ValueError, match="trainval-image/0003.jpg has no mask"):
        ddti_datalist(tn3k)
    (tn3k / "trainval-image" / "0005.jpg").unlink()
    (tn3k / FOLD).write_text(json.dumps({"train": [0, 1, 2, 4], "val": [3, 5, 6]}))  # of the seven that are left
    with pytest.raises(ValueError, match=r"0003.jpg has no mask[^$]*trainval-mask/0005.jpg has no image"):
        ddti_datalist(tn3k)


# DDTI as downloaded

SQUARE = [{"points": [{"x": x, "y": y} for x, y in ((2, 3), (6, 3), (6, 9), (2, 9))], "regionType": "freehand"}]


def xml(*marks):
    body = "".join(f"<mark><image>{number}</image><svg>{svg}</svg></mark>" for number, svg in marks)
    return f"<case><number>1</number>{body}</case>"


@pytest.fixture
def ddti(tmp_path):
    folder = tmp_path / "ddti"
    folder.mkdir()
    for name in ("1_1", "1_2", "2_1", "3_1"):
        Image.fromarray(np.full((12, 10), 90, np.uint8)).save(folder / f"{name}.jpg")
    (folder / "1.xml").write_text(xml((1, json.dumps(SQUARE)), (2, "")))
    (folder / "2.xml").write_text(xml((1, json.dumps(SQUARE * 2)), (7, json.dumps(SQUARE))))
    (folder / "3.xml").write_text(xml((1, json.dumps(SQUARE)[:-9])))
    return folder


def test_outlines_become_masks_and_cases_patients(ddti, tmp_path, caplog):
    assert write_plain_folder(ddti, tmp_path / "out") == 2
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "1_1.png"))
    assert mask.shape == (12, 10) and (mask[3:10, 2:7] == 255).all() and (mask > 0).sum() == 7 * 5
    content = ddti_datalist(tmp_path / "out")
    assert sorted(item["patient"] for key in KEYS for item in content[key]) == ["1", "2"]
    assert "3.xml can not be read" in caplog.text and "2_7.jpg does not exist" in caplog.text


def test_an_outline_of_two_points_is_refused(tmp_path):
    (tmp_path / "1.xml").write_text(xml((1, json.dumps([{"points": SQUARE[0]["points"][:2]}]))))
    with pytest.raises(ValueError, match="1.xml has an outline of fewer than 3 points"):
        outlines_of(tmp_path / "1.xml")


def test_outlines_are_no_masks_and_a_folder_with_content_is_left_alone(ddti, tmp_path, capsys):
    with pytest.raises(ValueError, match="holds outlines in XML; expected masks: .*ddti_outlines"):
        ddti_datalist(ddti)
    with pytest.raises(ValueError, match="is not empty; expected a new folder"):
        write_plain_folder(ddti, ddti)
    with pytest.raises(ValueError, match="has no outlines; expected files such as 1.xml"):
        write_plain_folder(tmp_path, tmp_path / "new")
    main([str(ddti), str(tmp_path / "made")])
    assert "made: 2 pictures" in capsys.readouterr().out
