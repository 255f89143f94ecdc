"""The preview is a picture, and nothing of the case stays in memory when it is written."""

import gc
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.overlays import write_overlays
from noise2mask.explain.preview import picture_of, rows_of, write_preview

RANDOM = np.random.default_rng(0)


def arrays(*shape):
    return [RANDOM.random(shape, dtype=np.float32) * most for most in (255, 1, 0.5)]


@pytest.mark.parametrize("shape", [(60, 40), (30, 20, 3)])
def test_a_picture_and_a_volume_have_four_panels(tmp_path, shape):
    write_preview(*arrays(*shape), tmp_path / "a.png", "title")
    width, height = Image.open(tmp_path / "a.png").size
    assert width == 1200 and height == 340


@pytest.mark.parametrize("most", [1.0, 0.4])
def test_no_array_is_kept_while_python_looks_for_no_cycles(tmp_path, most):
    x, y = np.mgrid[-1:1:2000j, -1:1:1500j]
    image = np.exp(-4 * (x**2 + y**2)).astype(np.float32)
    write_preview(image, image * most, image / 2, tmp_path / "a.png", "title")
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        write_preview(image, image * most, image / 2, tmp_path / "a.png", "title")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < image.nbytes


def test_a_picture_in_colour_is_drawn_in_colour(tmp_path):
    image = np.stack([np.full((6, 4), value) for value in (255.0, 0, 51)])  # (3, W, H)
    mask = np.zeros((6, 4))
    assert np.allclose(picture_of(image, mask), (1, 0, 0.2)) and picture_of(image, mask).shape == (4, 6, 3)
    write_preview(image, mask, mask, tmp_path / "a.png", "title")
    write_overlays([("a", image, mask, None)], tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        colours = np.asarray(Image.open(tmp_path / name).convert("RGB")).reshape(-1, 3)
        assert (colours == (255, 0, 51)).all(axis=1).any()


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SRA"])
def test_a_volume_is_shown_with_the_patient_s_right_on_the_left_however_it_is_stored(codes):
    """A dot at the patient's right, front and top."""
    affine = np.linalg.inv(nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), [4, 5, 6]))
    volume = np.zeros((5, 5, 5))
    place = [4 if code in "RAS" else 0 for k, code in enumerate(nib.aff2axcodes(affine))]
    volume[tuple(place)] = 1
    rows = rows_of(volume, volume, affine)
    assert np.argwhere(rows).tolist() == [[0, 0]]  # top left: front and right
