"""The files of a DICOM volume in the order of its slices, and of a dynamic one by phase."""

import itk
import numpy as np
import pytest
from tests.clinical.scanner import change, magnetic_resonance, ultrasound
from tests.data.dicom_files import write_dicom

from noise2mask.data.dicom_series import is_dicom, is_dicom_folder, phase_files
from noise2mask.data.reader import GreyReader

VALUES = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)  # phases, slices, rows, columns


def read(files):
    return itk.array_from_image(itk.imread(files))


def test_slices_are_ordered_along_their_normal_whatever_the_files_are_called(tmp_path):
    write_dicom(tmp_path, VALUES[:1])
    assert np.array_equal(read(phase_files(tmp_path)), VALUES[0])


@pytest.mark.parametrize("phase", [0, 1])
def test_phases_of_one_series_are_told_apart_by_time(tmp_path, phase):
    write_dicom(tmp_path, VALUES)
    assert np.array_equal(read(phase_files(tmp_path, phase)), VALUES[phase])


def test_several_series_are_phases_in_the_order_of_their_numbers(tmp_path):
    write_dicom(tmp_path, VALUES[1:], series="1.2.1", number=9)
    write_dicom(tmp_path, VALUES[:1], series="1.2.2", number=3)
    for phase in (0, 1):
        assert np.array_equal(read(phase_files(tmp_path, phase)), VALUES[phase])


def test_a_volume_without_phases_is_taken_whatever_the_phase(tmp_path):
    write_dicom(tmp_path, VALUES[:1])
    assert phase_files(tmp_path, 1) == phase_files(tmp_path, 0)


def test_a_phase_that_is_not_there_is_refused(tmp_path):
    write_dicom(tmp_path, VALUES)
    with pytest.raises(ValueError, match=r"has 2 phases, 0 to 1, but phase is 2"):
        phase_files(tmp_path, 2)


def test_a_missing_image_of_a_phase_is_noticed(tmp_path):
    write_dicom(tmp_path, VALUES)
    next(tmp_path.iterdir()).unlink()
    with pytest.raises(ValueError, match="1 to 2 images per position: some files are missing"):
        phase_files(tmp_path)


def test_a_missing_slice_is_noticed_by_its_gap(tmp_path):
    write_dicom(tmp_path, np.arange(80).reshape(1, 4, 4, 5))
    next(path for path in tmp_path.iterdir() if path.name.endswith("_07.dcm")).unlink()
    with pytest.raises(ValueError, match=r"has gaps of 2 to 4 mm between slices: a file is missing"):
        phase_files(tmp_path)


def test_series_of_different_length_are_refused(tmp_path):
    write_dicom(tmp_path, VALUES[:1])
    write_dicom(tmp_path, VALUES[:1, :1], series="1.2.9", number=1)
    with pytest.raises(ValueError, match=r"has series of \[1, 3\] slices; expected one examination"):
        phase_files(tmp_path)


def test_a_broken_header_is_named(tmp_path):
    write_dicom(tmp_path, VALUES[:1])
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=rf"{path.name} has a DICOM header, or pixels, that can not be read"):
        phase_files(tmp_path)


def test_other_files_are_no_dicom(tmp_path):
    (tmp_path / "a.txt").write_text("no image")
    (tmp_path / "empty").touch()
    assert not is_dicom(tmp_path / "a.txt") and not is_dicom(tmp_path / "empty") and not is_dicom(tmp_path)
    assert not is_dicom_folder(tmp_path) and not is_dicom_folder(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="holds no DICOM file"):
        phase_files(tmp_path)
    write_dicom(tmp_path, VALUES[:1])
    assert is_dicom_folder(tmp_path) and len(phase_files(tmp_path)) == 3


def test_the_reader_takes_a_folder_with_its_geometry(tmp_path):
    write_dicom(tmp_path, VALUES)
    array, meta = GreyReader(phase=1).get_data([str(tmp_path)])
    assert np.array_equal(array, VALUES[1].transpose(2, 1, 0))
    # DICOM's axes point left and back, those of the affine right and forward
    expected = np.diag([-0.5, -0.7, 2.0, 1.0])
    expected[:3, 3] = -10, -20, 5
    assert np.allclose(meta["affine"], expected)


@pytest.mark.parametrize("other", [{"study": "1.3"}, {"patient": "p2"}])
def test_images_of_several_patients_or_studies_are_refused(tmp_path, other):
    write_dicom(tmp_path, VALUES[:1], series="1.2.1")
    write_dicom(tmp_path, VALUES[1:], series="1.2.2", **other)
    with pytest.raises(ValueError, match="several patients or studies; expected one: give them apart"):
        phase_files(tmp_path)


def test_stills_are_no_phases(tmp_path):
    for n in range(3):
        write_dicom(tmp_path, VALUES[:1, :1], series=f"1.2.{n}")
    with pytest.raises(ValueError, match="3 series of one image each; expected one: give them apart"):
        phase_files(tmp_path)


def test_objects_that_are_no_images_are_refused(tmp_path):
    write_dicom(tmp_path, VALUES[:1])
    write_dicom(tmp_path, VALUES[:1, :1], series="1.2.4", modality="SEG")
    with pytest.raises(ValueError, match=rf"{tmp_path} holds objects of modality SEG among the images: leave them out"):
        phase_files(tmp_path)


def test_slices_that_are_shifted_against_one_another_are_refused(tmp_path):
    write_dicom(tmp_path, VALUES[:1], shift=1.0)
    with pytest.raises(ValueError, match=rf"{tmp_path}: The slices are shifted .* tilted by 26.6 degrees"):
        GreyReader().get_data([str(tmp_path)])


@pytest.mark.parametrize("place", [None, [0, 0, 0]])
def test_stills_of_one_series_are_no_volume_and_no_phases(place, tmp_path):
    for number in range(3):
        ultrasound(tmp_path / f"{number}.dcm", np.zeros((6, 5), np.uint8))
        values = {"SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2"}
        values |= {"ImagePositionPatient": place, "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]} if place else {}
        change(tmp_path / f"{number}.dcm", **values)
    with pytest.raises(ValueError, match="holds 3 stills or clips; expected one: give each a folder of its own"):
        phase_files(tmp_path)


def test_images_of_several_sizes_are_refused(tmp_path):
    write_dicom(tmp_path, VALUES[:1])
    write_dicom(tmp_path, VALUES[:1, :1, :2], origin=(10, 20, 50))
    with pytest.raises(ValueError, match="holds images of 2 sizes; expected those of one volume"):
        phase_files(tmp_path)


def test_a_slice_that_is_turned_is_refused(tmp_path):
    magnetic_resonance(tmp_path, VALUES[0])
    change(sorted(tmp_path.iterdir())[1], ImageOrientationPatient=[0, -1, 0, 1, 0, 0])
    with pytest.raises(ValueError, match=rf"{tmp_path}: The images are not parallel to one another"):
        phase_files(tmp_path)
