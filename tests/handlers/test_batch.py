"""Which cases are finished: only those that would come out the same again."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.reader import ColourReader
from noise2mask.explain.case_file import case_path
from noise2mask.handlers.batch import MADE_FROM, Batch
from noise2mask.transforms.crop_disc import CropDiscd


@pytest.fixture
def folder(tmp_path):
    """Two images and weights."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full((2, 3), ord(name), np.uint8)).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path


def batch(folder):
    items = [{"image": str(folder / "in" / f"{name}.png")} for name in ("a", "b")]
    return Batch(items, str(folder / "out"), str(folder / "model.pt"))


def test_z_scores_are_asked_for_a_window_of_theirs_and_no_image_for_its_grey_values(folder):
    where = [{"image": str(folder / "in" / "a.png")}], str(folder / "out"), str(folder / "model.pt")
    with pytest.raises(ValueError, match="intensity_range is 0 to 200, of z-scores"):
        Batch(*where, intensity_range=(0, 200), z_score=True)
    assert Batch(*where, intensity_range=(-3, 3), z_score=True).warnings == {}


def test_pictures_that_can_not_be_cropped_are_all_named_before_anything_is_done(folder):
    items = [{"image": str(folder / "in" / f"{name}.png")} for name in ("a", "b")]
    with pytest.raises(ValueError, match=r"a\.png has the same value everywhere[^$]*b\.png has the same value"):
        Batch(items, str(folder / "out"), str(folder / "model.pt"), crop=[CropDiscd("image")])


def test_pictures_for_a_network_of_volumes_are_all_named_before_anything_is_done(folder):
    items = [{"image": str(folder / "in" / f"{name}.png")} for name in ("a", "b")]
    with pytest.raises(ValueError, match=r"a\.png is a picture; expected a volume[^$]*b\.png is a picture"):
        Batch(items, str(folder / "out"), str(folder / "model.pt"), spatial_dims=3)


def finish(folder, name="a"):
    """What `SaveResults` leaves of a case."""
    image, made = str(folder / "in" / f"{name}.png"), batch(folder)
    (folder / "out" / f"{name}_mask.png").write_bytes(b"mask")
    case = {"image": image, "files": [f"{name}_mask.png"], MADE_FROM: made.made_from(image)}
    made.file(image).write_text(json.dumps(case))


def left(folder):
    return [item["image"][-5] for item in batch(folder).unfinished]


def test_what_is_finished_is_not_done_again(folder):
    assert left(folder) == ["a", "b"]
    finish(folder)
    assert left(folder) == ["b"] and [case["image"][-5] for case in batch(folder).finished] == ["a"]


def test_a_path_that_is_written_in_another_way_is_finished_and_called_as_it_is_now(folder, monkeypatch):
    finish(folder)
    monkeypatch.chdir(folder)
    made = Batch([{"image": "in/a.png"}], "out", "model.pt")
    assert made.unfinished == [] and [case["image"] for case in made.finished] == ["in/a.png"]


def test_the_same_content_under_another_ending_is_done_again(folder):
    finish(folder)
    shutil.copy(folder / "in" / "a.png", folder / "in" / "a.bmp")
    made = Batch([{"image": str(folder / "in" / "a.bmp")}], str(folder / "out"), str(folder / "model.pt"))
    assert made.finished == []


@pytest.mark.parametrize("path", ["in/a.png", "model.pt"])
def test_another_image_and_other_weights_are_done_again(folder, path):
    finish(folder)
    shutil.copy(folder / "in" / "b.png", folder / path)
    assert left(folder) == ["a", "b"]


def test_another_config_is_done_again_unless_only_the_way_through_the_cases_differs(folder, monkeypatch):
    config = {"steps": 2, "images_at_once": 1}
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", lambda: config)
    finish(folder)
    config["images_at_once"] = 4
    assert left(folder) == ["b"]
    config["steps"] = 3
    assert left(folder) == ["a", "b"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3, "made_from": 4}'])
def test_a_case_whose_numbers_are_damaged_is_done_again(folder, content):
    finish(folder)
    (folder / "out" / "a.json").write_text(content)
    assert left(folder) == ["a", "b"]


def test_a_case_that_lacks_a_result_file_is_done_again(folder):
    finish(folder)
    (folder / "out" / "a_mask.png").unlink()
    assert left(folder) == ["a", "b"]


def test_where_cases_are_kept_one_without_its_file_is_done_again(folder):
    finish(folder)
    items, where = [{"image": str(folder / "in" / "a.png")}], (str(folder / "out"), str(folder / "model.pt"))
    assert len(Batch(items, *where, case_files=True).unfinished) == 1
    case_path(folder / "out", "a").parent.mkdir()
    case_path(folder / "out", "a").write_bytes(b"")
    assert Batch(items, *where, case_files=True).unfinished == []


def test_all_images_that_can_not_be_read_are_named_before_anything_is_done(folder):
    for name in ("a", "b"):
        (folder / "in" / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a.png can not be read(.|\n)*b.png can not be read"):
        batch(folder)


def test_an_image_with_other_grey_values_than_in_training_is_done_with_a_warning(folder, caplog):
    Image.fromarray(np.array([[0, 900, 65535]], np.uint16)).save(folder / "in" / "b.png")
    Image.fromarray(np.array([[0, 90, 255]], np.uint8)).save(folder / "in" / "a.png")
    items = [{"image": str(folder / "in" / f"{name}.png")} for name in ("a", "b")]
    made = Batch(items, str(folder / "out"), str(folder / "model.pt"), intensity_range=(30, 235))
    assert len(made.unfinished) == 2 and list(made.warnings) == [items[1]["image"]]
    assert "b.png has 0.0% of its values between 30 and 235 (they are 0 to 65535)" in caplog.text
    assert "change intensity_range" in caplog.text and batch(folder).warnings == {}


def modalities(folder, names=("a", "b"), **options):
    items = [{"image": [str(folder / "in" / f"{name}.png") for name in names]}]
    return Batch(items, str(folder / "out"), str(folder / "model.pt"), **options)


def test_a_case_of_several_modalities_is_called_as_the_first_and_made_from_all(folder):
    made = modalities(folder, in_channels=2)
    first = str(folder / "in" / "a.png")
    assert made.file(first).name == "a.json" and made.files_of(first) == made.unfinished[0]["image"]
    before = made.made_from(first)
    shutil.copy(folder / "in" / "a.png", folder / "in" / "b.png")
    assert modalities(folder, in_channels=2).made_from(first) != before


def test_another_number_of_channels_and_modalities_that_differ_are_named_before_anything_is_done(folder):
    with pytest.raises(ValueError, match=r"a.png has 2 channels, of 2 files; expected 4"):
        modalities(folder, in_channels=4)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / "in" / "b.png")
    with pytest.raises(ValueError, match=r"can not be segmented:\n.*b.png has shape \(5, 5\), but .*a.png"):
        modalities(folder, in_channels=2)


def test_a_picture_in_colour_has_three_channels(folder):
    assert len(modalities(folder, ["a"], reader=ColourReader(), in_channels=3).unfinished) == 1
