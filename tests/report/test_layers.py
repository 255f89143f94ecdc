"""Sheets of tiles hold what a case holds, at the place where the viewer looks for it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.case_file import shown_number
from noise2mask.report.layers import MOST_SHEET, case_layers, check_record, thumbnail

from .results import record


def sheet(uri):
    assert uri.startswith("data:image/webp;base64,")
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def tile(layers, name, number):
    """As the viewer cuts it out."""
    (height, width), pixels = layers["size"], sheet(layers["sheets"][name])
    columns = pixels.shape[1] // width
    top, left = number // columns * height, number % columns * width
    return pixels[top : top + height, left : left + width, 0]


def test_masks_and_samples_come_back_to_the_last_pixel():
    case = record("a.png", samples=5)
    layers = case_layers(case)
    assert (tile(layers, "mask", 0) == case.mask).all() and (tile(layers, "label", 0) == case.label).all()
    assert all((tile(layers, "samples", n) == sample).all() for n, sample in enumerate(case.samples))
    assert layers["samples"] == 5 and layers["timesteps"] == [999, 0]


def test_a_volume_has_all_slices_of_a_sample_after_each_other():
    case = record("a.nii", shape=(12, 20, 5), samples=2, structures=("head", "tail"))
    layers = case_layers(case)
    assert layers["size"] == [12, 20] and layers["slices"] == [0, 1, 2, 3, 4]
    for n in range(2):
        for d in range(5):
            assert (tile(layers, "samples", n * 5 + d) == case.samples[n, ..., d]).all()


def test_an_image_in_colour_keeps_its_colours():
    case = record("a.png")
    red = np.stack([np.full((16, 16), 200, np.uint8), *np.zeros((2, 16, 16), np.uint8)])
    mean = sheet(case_layers(case._replace(image=red))["sheets"]["image"]).reshape(-1, 3).mean(axis=0)
    assert np.allclose(mean, [200, 0, 0], atol=6)


def test_large_pictures_are_reduced_and_no_sheet_is_too_large():
    layers = case_layers(record("a.png", shape=(300, 600), samples=1, steps=1))
    assert layers["size"] == [128, 256]
    layers = case_layers(record("a.nii", shape=(200, 200, 32), samples=16, steps=1))
    assert max(sheet(layers["sheets"]["samples"]).shape) <= MOST_SHEET and max(layers["size"]) == MOST_SHEET // 23


def test_a_network_without_steps_and_a_case_without_label_have_no_such_sheets():
    layers = case_layers(record("a.png", labelled=False, steps=0))
    assert set(layers["sheets"]) == {"image", "mask", "probability", "std", "entropy", "samples"}
    assert layers["timesteps"] == []


def test_a_volume_begins_with_the_slice_that_figures_show_and_a_picture_with_none():
    case = record("a.nii", shape=(8, 8, 4))
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[:2, :, 3] = 1
    assert case_layers(case._replace(mask=mask))["start"] == 3 == shown_number(case._replace(mask=mask))
    empty = record("a.png")
    assert case_layers(empty._replace(mask=0 * empty.mask, label=None))["start"] == 0


def test_the_small_picture_is_as_wide_as_the_spacing_says():
    small = Image.open(io.BytesIO(base64.b64decode(thumbnail(record("a.png", spacing=[1.0, 2.0])).split(",")[1])))
    assert small.size == (72, 36)
    assert case_layers(record("a.png", spacing=[3.0, 1.5]))["spacing"] == [2, 1]


def test_the_small_picture_of_several_structures_outlines_their_masks_alone():
    case = record("a.png", structures=("head", "tail"))
    assert thumbnail(case) == thumbnail(case._replace(label=None))
    single = record("a.png")
    assert thumbnail(single) != thumbnail(single._replace(label=None))


def test_arrays_that_do_not_belong_together_are_refused_by_name():
    case = record("a.png")
    with pytest.raises(ValueError, match=r"its std is uint8 of \(8, 16\), expected uint8 of \(16, 16\)"):
        check_record(case._replace(std=case.std[:8]))
    with pytest.raises(ValueError, match="its image has 2 channels"):
        check_record(case._replace(image=np.concatenate([case.image] * 2)))
    with pytest.raises(ValueError, match="it has no samples"):
        check_record(case._replace(samples=case.samples[:0]))
    with pytest.raises(ValueError, match=r"its mask is of \(16,\), expected 2 or 3 axes"):
        check_record(case._replace(mask=case.mask[0]))
    with pytest.raises(ValueError, match="its samples is float32"):
        check_record(case._replace(samples=case.samples.astype(np.float32)))
