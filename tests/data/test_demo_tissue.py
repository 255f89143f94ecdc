"""Generated slides: the same from the same arguments, with both tissues and background, told apart by their colours."""

import csv

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.datalist import datalist
from noise2mask.data.demo_tissue import slide, write_demo
from noise2mask.data.tiles import main


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("demo") / "a", 4, 0)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(demo, tmp_path):
    first = contents(demo)
    assert contents(write_demo(tmp_path / "b", 4, 0)) == first and contents(write_demo(demo, 4, 0)) == first
    other = contents(write_demo(tmp_path / "c", 4, 1))
    assert not [name for name, data in other.items() if name.suffix == ".png" and data == first[name]]


def test_each_slide_has_all_three_classes_and_colours_of_8_bits(demo):
    for number in range(4):
        image, mask = (np.asarray(Image.open(demo / kind / f"slide_{number:03d}.png")) for kind in ("images", "masks"))
        assert image.shape == (*mask.shape, 3) and image.dtype == mask.dtype == np.uint8
        assert np.unique(mask).tolist() == [0, 1, 2] and np.bincount(mask.ravel()).min() > 0.05 * mask.size


def test_the_background_is_brightest_and_the_malignant_tissue_darkest():
    for seed in range(3):
        image, mask = slide(np.random.default_rng(seed))
        background, benign, malignant = (image[mask == kind].mean() for kind in range(3))
        assert background > benign + 20 > malignant + 40


def test_slides_are_of_one_patient_each_in_three_splits_and_can_be_cut(demo, tmp_path, capsys):
    rows = list(csv.DictReader((demo / "manifest.csv").open()))
    assert [row["patient"] for row in rows] == [f"patient_{number:03d}" for number in range(4)]
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    size = ["--tile_size", "96", "--stride", "96", "--image_size", "16"]
    main([str(demo), "--output", str(tmp_path / "tiles"), *size])
    items = [item for key in ("training", "validation", "testing") for item in datalist(tmp_path / "tiles", key)]
    assert len(items) == 16 and {item["slide"] for item in items} == {f"slide_{number:03d}" for number in range(4)}


def test_another_layout_no_patient_and_a_folder_of_something_else_are_refused(tmp_path):
    with pytest.raises(ValueError, match="layout is 'busi', but slides have one alone: expected 'folder'"):
        write_demo(tmp_path / "a", 1, 0, "busi")
    with pytest.raises(ValueError, match="patients is 0, expected at least 1"):
        write_demo(tmp_path / "a", 0, 0)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="is not empty"):
        write_demo(tmp_path, 1, 0)
