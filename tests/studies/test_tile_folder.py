"""Classes of tiles, and folders that are there whole or not at all."""

import numpy as np
import pytest
from PIL import Image

from noise2mask.studies.tile_folder import class_pixels, dominant, is_new, whole_folder


def test_pixels_of_a_mask_are_counted_by_value(tmp_path):
    Image.fromarray(np.array([[0, 2, 2], [1, 2, 0]], np.uint8)).save(tmp_path / "m.png")
    assert class_pixels(tmp_path / "m.png") == {0: 2, 1: 1, 2: 3}


@pytest.mark.parametrize(
    ("pixels", "expected"), [({0: 9, 1: 1, 2: 3}, 2), ({0: 9, 1: 2, 2: 2}, 1), ({2: 2, 1: 2}, 1), ({0: 9}, 0)]
)
def test_the_background_is_dominant_only_where_there_is_nothing_else(pixels, expected):
    assert dominant(pixels) == expected


def test_nothing_of_a_folder_is_there_before_all_of_it(tmp_path):
    (tmp_path / "out").mkdir()  # empty: as good as none
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("a")
        assert is_new(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"] and not is_new(tmp_path / "out")


def test_a_folder_that_failed_leaves_nothing_and_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "left").touch()
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "out") as folder:
        assert not list(folder.iterdir())
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_place_that_can_not_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file can not be written to"), whole_folder(tmp_path / "file" / "out"):
        pass
