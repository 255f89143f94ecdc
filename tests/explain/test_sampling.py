"""The way from noise to mask as pictures, from cases that were kept."""

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.case_file import UNLABELLED, case_path, write_case
from noise2mask.explain.sampling import SamplingFigures, shown_slice, where

from .test_case_file import record


def kept(folder, **arrays):
    """A case of 8 x 8 with three steps, whose mask grows from step to step."""
    empty = np.zeros((8, 8), np.uint8)
    clean = np.zeros((3, 8, 8), np.uint8)
    for step, rows in enumerate((0, 2, 4)):
        clean[step, :rows] = 255
    own = {"clean": clean, "mask": (clean[2] > 0).astype(np.uint8), "label": empty.copy(), **arrays}
    write_case(record(shape=(8, 8))._replace(**own), case_path(folder, "a"))
    return SamplingFigures([{"image": "some/where/a.png"}], str(folder), str(folder))


def test_the_table_says_how_the_mask_grows_and_when_it_is_the_last_one(tmp_path):
    rows = kept(tmp_path).run()
    assert [row["timestep"] for row in rows] == [2, 1, 0] and [row["area"] for row in rows] == [0, 0.25, 0.5]
    assert [row["dice_with_the_last"] for row in rows] == pytest.approx([0, 2 * 16 / 48, 1])
    assert [row["dice_with_the_label"] for row in rows] == [1, 0, 0]  # the label is empty


def test_what_nobody_labelled_counts_in_no_dice(tmp_path):
    label = np.full((8, 8), UNLABELLED, np.uint8)
    label[:2] = 1
    assert [row["dice_with_the_label"] for row in kept(tmp_path, label=label).run()] == [0, 1, 1]


def test_the_animation_has_a_frame_per_step_and_the_strip_a_column_more_for_the_label(tmp_path):
    kept(tmp_path).run()
    assert Image.open(tmp_path / "sampling_a.gif").n_frames == 3
    labelled = Image.open(tmp_path / "sampling_a.png").width
    rows = kept(tmp_path, label=None).run()
    assert Image.open(tmp_path / "sampling_a.png").width < labelled and "dice_with_the_label" not in rows[0]


def test_of_a_volume_the_slice_with_most_of_the_mask_is_shown_and_of_an_empty_mask_that_of_the_label():
    volume = record(shape=(4, 4, 3), slices=[10, 20, 30])
    mask, label = np.zeros((2, 4, 4, 3), np.uint8)
    mask[0, :, 2], label[:, :, 1] = 1, 1
    own = shown_slice(volume._replace(mask=mask, label=label))
    assert np.array_equal(own.noisy, volume.noisy[..., 2]) and own.image.shape == (1, 4, 4) and own.mask.ndim == 2
    assert own.facts["slices"] == [30] and where(own.facts) == ", slice 30 of the file's z axis"
    assert np.array_equal(shown_slice(volume._replace(mask=mask * 0, label=label)).std, volume.std[..., 1])
    placed = {"slices": [7], "axis": 0, "axcodes": "PLS"}
    assert where(placed) == ", slice 7 of the file's x axis, right of the picture is L, its bottom P"


def test_a_network_without_steps_has_no_way_and_a_missing_case_is_named(tmp_path):
    none = np.zeros((0, 8, 8), np.uint8)
    with pytest.raises(ValueError, match="a: this network goes no steps"):
        kept(tmp_path, clean=none, noisy=none, timesteps=np.zeros(0, np.int64)).run()
    with pytest.raises(ValueError, match=r"b\.npz does not exist"):
        SamplingFigures([{"image": "b.png"}], str(tmp_path), str(tmp_path)).run()
