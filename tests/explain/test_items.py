"""Which images a figure shows."""

import json

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.items import items_to_explain


def pictures(folder, *names):
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / f"{name}.png")


def names(items):
    return [item["image"].split("/")[-1] for item in items]


def test_a_folder_of_images_has_no_labels_and_a_data_set_has(tmp_path):
    pictures(tmp_path / "plain", "a", "b")
    assert [set(item) for item in items_to_explain(tmp_path / "plain")] == [{"image"}] * 2
    for part in ("images", "masks"):
        pictures(tmp_path / "set" / part, *"abcdefghij")
    found = items_to_explain(tmp_path / "set", section="training")
    assert found and all(item["label"].endswith("png") for item in found)


def test_some_are_evenly_spread(tmp_path):
    pictures(tmp_path / "plain", *"abcde")
    assert names(items_to_explain(tmp_path / "plain", most=3)) == ["a.png", "c.png", "e.png"]
    assert len(items_to_explain(tmp_path / "plain", most=9)) == 5
    with pytest.raises(ValueError, match="expected 1 or more: correct most_cases"):
        items_to_explain(tmp_path / "plain", most=0)


def test_a_datalist_without_labels_is_shown_without(tmp_path):
    pictures(tmp_path / "plain", "a")
    (tmp_path / "list.json").write_text(json.dumps({"testing": [{"image": "plain/a.png"}]}))
    assert [set(item) for item in items_to_explain(tmp_path / "list.json")] == [{"image"}]


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        items_to_explain(tmp_path / "nowhere")
