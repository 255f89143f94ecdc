"""Which masks are finished: only those whose images would come out the same again and are all there."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from noise2mask.handlers.batch import MADE_FROM
from noise2mask.handlers.generation_batch import GenerationBatch, mask_of


@pytest.fixture
def folder(tmp_path):
    """Two masks, a reference and weights."""
    (tmp_path / "in").mkdir()
    for value, name in enumerate(("a", "b_1", "style")):
        Image.fromarray(np.full((2, 3), value, np.uint8)).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path


def batch(folder, names=("a", "b_1"), reference="in/style.png", **more):
    items = [
        {"label": str(folder / "in" / f"{name}.png"), "reference": str(folder / reference), "name": name, **more}
        for name in names
    ]
    return GenerationBatch(items, str(folder / "out"), str(folder / "model.pt"))


def finish(folder, name="a", images=2):
    """What `SaveGenerated` leaves of a mask."""
    made = batch(folder)
    item, files = next(item for item in made.items if item["name"] == name), [f"{name}_{n}.png" for n in range(images)]
    for path in [folder / "out" / kind / file for kind in ("images", "masks") for file in files]:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"image")
    made.file(name).parent.mkdir(exist_ok=True)
    made.file(name).write_text(json.dumps({**made.known(item), "files": files, MADE_FROM: made.made_from(item)}))


def left(folder, **options):
    return [item["name"] for item in batch(folder, **options).unfinished]


def test_what_is_finished_is_not_done_again(folder):
    assert left(folder) == ["a", "b_1"]
    finish(folder)
    assert left(folder) == ["b_1"] and [record["files"][0] for record in batch(folder).records] == ["a_0.png"]
    assert left(folder, names=("b_1", "a")) == ["b_1"]


@pytest.mark.parametrize("path", ["in/a.png", "in/style.png", "model.pt"])
def test_another_mask_reference_or_weights_are_done_again(folder, path):
    finish(folder)
    shutil.copy(folder / "in" / "b_1.png", folder / path)
    assert left(folder) == ["a", "b_1"]


@pytest.mark.parametrize("lost", ["images/a_1.png", "masks/a_0.png", "records/a.json"])
def test_a_mask_with_a_lost_file_is_done_again(folder, lost):
    finish(folder)
    (folder / "out" / lost).unlink()
    assert left(folder) == ["a", "b_1"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}', '{"files": [], "made_from": 4}'])
def test_a_damaged_record_is_done_again(folder, content):
    finish(folder)
    (folder / "out" / "records" / "a.json").write_text(content)
    assert left(folder) == ["a", "b_1"]


def test_another_config_is_done_again_unless_only_the_way_through_the_masks_differs(folder, monkeypatch):
    config = {"steps": 2, "masks_at_once": 8, "references": "here", "section": "training"}
    monkeypatch.setattr("noise2mask.handlers.generation_batch.resolved_config", lambda: config)
    finish(folder)
    config |= {"masks_at_once": 1, "references": "there", "section": "testing"}
    config |= {"features": "inception.pt", "features_size": 299, "real": {"key": "testing"}, "chunk_size": 8}
    assert left(folder) == ["b_1"]
    config["steps"] = 3
    assert left(folder) == ["a", "b_1"]


def test_a_finished_mask_whose_files_have_moved_is_called_as_it_is_now(folder):
    finish(folder)
    (folder / "in" / "style.png").rename(folder / "in" / "moved.png")
    (record,) = batch(folder, reference="in/moved.png", patient=0, slide="s").records
    assert record["reference"] == str(folder / "in" / "moved.png")
    assert (record["patient"], record["slide"]) == ("0", "s")


def test_a_mask_that_is_done_again_loses_all_its_earlier_images_and_no_others(folder):
    finish(folder, images=3)
    finish(folder, "b_1")
    batch(folder).clear("a")
    names = [path.name for path in sorted((folder / "out").rglob("*.*"))]
    assert names == ["b_1_0.png", "b_1_1.png", "b_1_0.png", "b_1_1.png", "b_1.json"]
    assert left(folder) == ["a"] and mask_of("b_1_0.png") == "b_1"


def test_images_of_other_masks_in_the_output_folder_are_refused_all_at_once(folder):
    finish(folder)
    (folder / "out" / "images" / ".b.png.part").touch()  # of a call that was killed
    with pytest.raises(
        ValueError, match=r"other images: take them away(.|\n)*images/a_0.png(.|\n)*masks/a_1.png is of"
    ):
        batch(folder, names=("b_1",))


@pytest.mark.parametrize("path", ["out/masks/a.png", "out/style.png"])
def test_masks_and_references_in_the_output_folder_are_refused(folder, path):
    item = {"label": str(folder / "in" / "a.png"), "reference": str(folder / "in" / "style.png"), "name": "a"}
    item["label" if "a.png" in path else "reference"] = str(folder / path)
    with pytest.raises(ValueError, match="stands in the output folder and might be overwritten: give another"):
        GenerationBatch([item], str(folder / "out"), str(folder / "model.pt"))


def test_references_without_the_colours_of_their_slide_are_all_named_with_what_to_do(folder):
    colours = folder / "slide_colours.json"
    known = {"mean": [50, 0, 0], "deviation": [5, 1, 1], "patches": 1, "pixels": 9}
    colours.write_text(json.dumps({"luminance": [0, 85], "slides": {"s": known}}))
    items = [{"label": str(folder / "in/a.png"), "reference": str(folder / "in/style.png"), "name": "a"}]
    where = (str(folder / "out"), str(folder / "model.pt"), str(colours))
    assert "colours" in GenerationBatch([items[0] | {"slide": "s"}], *where).colours
    for slide, words in (({}, "style.png names no slide"), ({"slide": "t"}, "style.png is of slide t")):
        with pytest.raises(ValueError, match=rf"set normalise_colours to false(.|\n)*{words}"):
            GenerationBatch([items[0] | slide], *where)
    colours.unlink()
    with pytest.raises(ValueError, match=r"slide_colours.json holds no colours of slides.* normalise_colours to false"):
        GenerationBatch(items, *where)
