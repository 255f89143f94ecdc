"""Result files are whole or not there, and hold what was written."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from noise2mask.data.results import write_label_map, write_map, write_mask

from ..test_files import full_disk

NOISE = np.random.default_rng(0)
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def picture_map(array, folder):
    return write_map(array / 255, "a.png", np.eye(4), folder, "std")


def picture_mask(array, folder):
    return write_mask(array > 9, "a.png", np.eye(4), folder)


def structures(array, folder):
    return write_label_map(array, "a.png", np.eye(4), folder)


def volume(array, folder):
    source = folder / "scan.nii"
    if not source.exists():
        nib.save(nib.Nifti1Image(np.zeros((80, 90, 1), np.uint8), AFFINE), source)
    return write_map(array[..., None], str(source), AFFINE, folder, "std")


@pytest.mark.parametrize("write", [picture_map, picture_mask, structures, volume])
def test_a_full_disk_leaves_the_old_file(tmp_path, write):
    path = write(np.full((80, 90), 3), tmp_path)
    before = path.read_bytes()
    with full_disk(len(before)), pytest.raises(OSError, match="too large"):
        write(NOISE.integers(0, 200, (80, 90)), tmp_path)
    assert path.read_bytes() == before and not list(tmp_path.glob(".*"))


def test_a_volume_keeps_values_and_geometry(tmp_path):
    values = NOISE.integers(0, 200, (80, 90))
    image = nib.load(volume(values, tmp_path))
    assert np.array_equal(image.get_fdata()[..., 0], values) and np.array_equal(image.affine, AFFINE)
    assert image.get_data_dtype() == np.float32


def test_pictures_have_rows_first(tmp_path):
    values = NOISE.integers(0, 200, (80, 90))
    assert np.array_equal(np.asarray(Image.open(picture_map(values, tmp_path))), values.T)
    assert np.array_equal(np.asarray(Image.open(structures(values, tmp_path))), values.T)
