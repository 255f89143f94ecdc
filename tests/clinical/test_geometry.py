"""Slices that do not make one volume are refused, in files and in frames of one file."""

import numpy as np
import pydicom
import pytest

from noise2mask.clinical.series import stage
from noise2mask.data.dicom_series import is_measured
from noise2mask.data.reader import GreyReader

from .scanner import change, enhanced, magnetic_resonance, ultrasound

VOLUME = np.arange(4 * 6 * 5, dtype=np.int16).reshape(4, 6, 5)


@pytest.fixture
def files(tmp_path):
    """A function that makes a series and gives its files."""

    def make(**options):
        magnetic_resonance(tmp_path / "in", VOLUME, **options)
        return sorted((tmp_path / "in").iterdir())

    return make


def test_a_tilted_gantry_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match=r"gantry tilted by 26.6 degrees"):
        stage(files(tilt=1.0), tmp_path / "work")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "not parallel"),
        ({"Rows": 5}, r"the sizes \[\(5, 5\), \(6, 5\)\]"),
        ({"ImagePositionPatient": None}, "1 of 4 images have no position"),
        ({"PixelSpacing": [0.5, 0.8]}, r"pixel spacings \[\(0.5, 0.7\), \(0.5, 0.8\)\]"),
        ({"PixelSpacing": None}, "pixel spacings"),
        ({"ImagePositionPatient": [45, -3, 2]}, "A slice lies 40.0 mm beside the others"),
        ({"Rows": None, "PixelData": None}, "1 of 4 files hold no image"),
    ],
)
def test_images_that_do_not_belong_together_are_refused(files, tmp_path, values, words):
    paths = files()
    change(paths[1], **values)
    with pytest.raises(ValueError, match=words):
        stage(paths, tmp_path / "work")


@pytest.mark.parametrize("heights", [(0, 2, 4, 6), (6, 4, 2, 0)])
def test_regular_frames_of_one_file_are_read_where_they_lie(heights, tmp_path):
    enhanced(tmp_path / "a.dcm", VOLUME, heights)
    array, meta = GreyReader().get_data([str(stage([tmp_path / "a.dcm"], tmp_path / "work")[0].folder)])
    np.testing.assert_array_equal(array.transpose(2, 1, 0), VOLUME)
    np.testing.assert_allclose((meta["affine"] @ [0, 0, 3, 1])[:3], [-5, 3, heights[3]])
    np.testing.assert_allclose(np.abs(np.diag(meta["affine"])), [0.7, 0.5, 2, 1])


@pytest.mark.parametrize("heights", [(6, 9, 2, 0), (0, 2, 6, 8), (0, 2, 0, 2)])
def test_frames_of_one_file_in_disorder_are_refused(heights, tmp_path):
    enhanced(tmp_path / "a.dcm", VOLUME, heights)
    with pytest.raises(ValueError, match="The frames follow one another in steps of"):
        stage([tmp_path / "a.dcm"], tmp_path / "work")


def test_slices_without_a_place_and_slices_among_frames_are_refused(files, tmp_path):
    enhanced(tmp_path / "frames.dcm", VOLUME, (0, 2, 4, 6))
    paths = files()
    first = pydicom.dcmread(paths[0])
    same = {name: first[name].value for name in ("StudyInstanceUID", "SeriesInstanceUID")}
    change(tmp_path / "frames.dcm", **same)
    with pytest.raises(ValueError, match="There are 5 files, some of several frames: give slices and frames apart"):
        stage([*paths, tmp_path / "frames.dcm"], tmp_path / "work")
    for path in paths:
        change(path, ImagePositionPatient=None)
    with pytest.raises(ValueError, match="There are 4 slices without a position: send them again"):
        stage(paths, tmp_path / "work")


def test_a_size_is_known_where_spacing_and_position_are(files, tmp_path):
    enhanced(tmp_path / "enhanced.dcm", VOLUME, (0, 2, 4, 6))
    ultrasound(tmp_path / "us.dcm", np.zeros((6, 5), np.uint8))
    paths = files()
    assert is_measured(tmp_path / "in") and is_measured(tmp_path / "enhanced.dcm") and is_measured("volume.nii.gz")
    assert not is_measured(tmp_path / "us.dcm")
    change(paths[0], PixelSpacing=None)
    assert not is_measured(paths[0])
