"""A series that may be segmented is laid out under a hash; every other one is refused with the reason."""

import pickle
import re
import shutil

import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from noise2mask.clinical.series import hashed, stage
from noise2mask.data.reader import GreyReader

from .scanner import PATIENT, change, enhanced, magnetic_resonance, ultrasound

VOLUME = np.arange(4 * 6 * 5, dtype=np.int16).reshape(4, 6, 5)


@pytest.fixture
def files(tmp_path):
    """A function that makes a series and gives its files."""

    def make(name="in", volume=VOLUME, **options):
        magnetic_resonance(tmp_path / name, volume, **options)
        return sorted((tmp_path / name).iterdir())

    return make


def read(folder):
    """(columns, rows, D)."""
    return GreyReader().get_data([str(folder)])[0]


def test_the_reader_stacks_the_frames_in_the_order_of_the_headers(files, tmp_path):
    (series,) = stage(files(), tmp_path / "work")
    assert [float(made.ImagePositionPatient[2]) for made in series.datasets] == [0, 2, 4, 6]
    np.testing.assert_array_equal(read(series.folder).transpose(2, 1, 0), VOLUME)


def test_no_name_leads_back_to_a_patient(files, tmp_path):
    paths = files()
    uid = pydicom.dcmread(paths[0]).SeriesInstanceUID
    (series,) = stage(paths, tmp_path / "work")
    names = {path.name for path in (tmp_path / "work").rglob("*")}
    assert names == {hashed(uid), "00000.dcm", "00001.dcm", "00002.dcm", "00003.dcm"}
    assert series.name == hashed(uid) and PATIENT not in series.name and uid not in series.name


def test_files_that_are_no_dicom_are_left_aside_and_a_second_call_replaces_the_first(files, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("hello")
    stage(files(volume=np.concatenate([VOLUME, VOLUME])), tmp_path / "work")
    (again,) = stage(files("other", series=generate_uid()), tmp_path / "work")
    assert len(again.datasets) == 4 == len(list(again.folder.iterdir()))


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5), (6, 5, 3), (2, 6, 5, 3)])
def test_ultrasound_is_read_in_one_or_many_frames_grey_or_colour(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    ultrasound(tmp_path / "us.dcm", pixels)
    (series,) = stage([tmp_path / "us.dcm"], tmp_path / "work")
    grey = pixels @ np.array([0.299, 0.587, 0.114]) if shape[-1] == 3 else pixels
    frames = grey if grey.ndim == 3 else grey[None]
    np.testing.assert_allclose(read(series.folder).transpose(2, 1, 0), frames, atol=1)


# Series of images that stand alone


@pytest.fixture
def stills(tmp_path):
    """Two stills of different sizes and a clip, of one series of ultrasound."""
    shapes, paths = [(6, 5), (7, 4), (3, 6, 5)], []
    for number, shape in enumerate(shapes):
        paths.append(tmp_path / f"{PATIENT}{number}.dcm")
        ultrasound(paths[-1], np.full(shape, number, np.uint8))
        change(paths[-1], SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2", InstanceNumber=number + 1)
    return paths


def test_each_still_and_clip_of_a_series_is_a_case_of_its_own(stills, tmp_path):
    cases = stage(stills, tmp_path / "work")
    assert [read(case.folder).shape for case in cases] == [(5, 6, 1), (4, 7, 1), (5, 6, 3)]
    assert [int(read(case.folder).max()) for case in cases] == [0, 1, 2]
    instances = [pydicom.dcmread(path).SOPInstanceUID for path in stills]
    assert [case.name for case in cases] == [f"{hashed('1.2.3')}_{hashed(uid)}" for uid in instances]
    assert [case.datasets[0].SOPInstanceUID for case in cases] == instances
    (alone,) = stage(stills[:1], tmp_path / "alone")
    assert alone.name == cases[0].name  # a series that grows keeps the names of what it had


@pytest.mark.parametrize(("places", "count"), [(([0, 0, 0],) * 3, 3), (([0, 0, 0], [], [0, 0, 0]), 3)])
def test_stills_that_say_the_same_place_or_none_stand_alone(places, count, tmp_path):
    for number, place in enumerate(places):
        ultrasound(tmp_path / f"{number}.dcm", np.full((6, 5), number, np.uint8))
        same = {"SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "PixelSpacing": [1, 1]}
        orientation = [1, 0, 0, 0, 1, 0] if place else []
        change(tmp_path / f"{number}.dcm", **same, ImagePositionPatient=place, ImageOrientationPatient=orientation)
    cases = stage(sorted(tmp_path.glob("*.dcm")), tmp_path / "work")
    assert [int(read(case.folder).max()) for case in cases] == [0, 1, 2] and len(cases) == count


@pytest.mark.parametrize("values", [{"PatientID": "other"}, {"StudyInstanceUID": "1.9"}])
def test_stills_of_several_patients_or_studies_are_refused(values, stills, tmp_path):
    change(stills[1], **values)
    with pytest.raises(ValueError, match="several patients or studies in one series: give them apart"):
        stage(stills, tmp_path / "work")


def test_what_is_wrong_with_a_still_names_its_file(stills, tmp_path):
    made = pydicom.dcmread(stills[1])
    made.compress("1.2.840.10008.1.2.5")
    made.Rows = made.Columns = 65535
    made.save_as(stills[1])
    with pytest.raises(ValueError, match=rf"{re.escape(str(stills[1]))}: The images have 4294836225 pixels"):
        stage(stills, tmp_path / "work")


def test_no_pixels_are_kept_while_others_are_segmented(tmp_path):
    ultrasound(tmp_path / "us.dcm", np.zeros((50, 100, 100), np.uint8))
    (case,) = stage([tmp_path / "us.dcm"], tmp_path / "work")
    assert len(pickle.dumps(case.datasets)) < 100_000


def test_files_that_each_hold_all_slices_are_cases_of_their_own(tmp_path):
    for name in "ab":
        enhanced(tmp_path / f"{name}.dcm", VOLUME, (0, 2, 4, 6))
        change(tmp_path / f"{name}.dcm", SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2")
    assert len(stage([tmp_path / "a.dcm", tmp_path / "b.dcm"], tmp_path / "work")) == 2


def test_what_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    ultrasound(tmp_path / "us.dcm", np.zeros((16, 16), np.uint8))
    made = pydicom.dcmread(tmp_path / "us.dcm")
    made.compress("1.2.840.10008.1.2.5")
    made.Rows = made.Columns = 65535
    made.save_as(tmp_path / "us.dcm")
    with pytest.raises(ValueError, match="have 4294836225 pixels together, expected at most 1073741824: give a part"):
        stage([tmp_path / "us.dcm"], tmp_path / "work")


# Encodings


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_compressed_files_are_read(files, tmp_path, syntax):
    volume = np.arange(3 * 16 * 12, dtype=np.int16).reshape(3, 16, 12)
    paths = files(volume=volume)
    for path in paths:
        made = pydicom.dcmread(path)
        made.compress(syntax)  # run lengths, and JPEG-LS without loss
        made.save_as(path)
    np.testing.assert_array_equal(read(stage(paths, tmp_path / "work")[0].folder).transpose(2, 1, 0), volume)


def test_a_missing_slice_is_refused(files, tmp_path):
    paths = files()
    with pytest.raises(ValueError, match="a file is missing"):
        stage([paths[0], *paths[2:]], tmp_path / "work")


def test_two_series_are_refused_and_named_by_their_hashes(files, tmp_path):
    with pytest.raises(ValueError, match="There are 2 series") as raised:
        stage([*files(), *files("other")], tmp_path / "work")
    first = str(pydicom.dcmread(files()[0]).SeriesInstanceUID)
    assert first not in str(raised.value)


@pytest.mark.parametrize("modality", ["SEG", "SR"])
def test_what_is_no_image_is_refused(files, tmp_path, modality):
    paths = files()
    change(paths[1], Modality=modality)
    with pytest.raises(ValueError, match=f"objects of modality {modality} among the images: leave them out"):
        stage(paths, tmp_path / "work")


@pytest.mark.parametrize("keep", [-2, 700, 200])
def test_a_truncated_file_is_refused(files, tmp_path, keep):
    paths = files()
    paths[2].write_bytes(paths[2].read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"is no complete DICOM file .* send it again"):
        stage(paths, tmp_path / "work")


def test_an_unknown_encoding_is_refused(files, tmp_path):
    paths = files()
    known, other = (text.encode() for text in ("1.2.840.10008.1.2.1\0", "1.2.840.10008.1.9.1\0"))
    paths[0].write_bytes(paths[0].read_bytes().replace(known, other))
    with pytest.raises(ValueError, match=r"1.2.840.10008.1.9.1\), which can not be read: convert it"):
        stage(paths, tmp_path / "work")


def test_what_is_deflated_is_refused_before_it_is_inflated(files, tmp_path, monkeypatch):
    paths = files()
    made = pydicom.dcmread(paths[0])
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    made.save_as(paths[0])
    monkeypatch.setattr(pydicom, "dcmread", None)
    with pytest.raises(ValueError, match=r"1.2.840.10008.1.2.1.99\), which can not be read: convert it"):
        stage(paths[:1], tmp_path / "work")


def test_a_folder_without_dicom_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no DICOM file"):
        stage([], tmp_path / "work")


@pytest.mark.parametrize("phase", [0, 1])
def test_the_phase_that_is_read_is_the_one_that_is_referred_to(tmp_path, phase):
    series = generate_uid()
    for p in (0, 1):
        magnetic_resonance(tmp_path / f"{p}", VOLUME + 200 * p, study="1.2", series=series)
        for path in (tmp_path / f"{p}").iterdir():
            change(path, TemporalPositionIdentifier=p + 1)
    (staged,) = stage(list(tmp_path.rglob("*.dcm")), tmp_path / "work", phase)
    array = GreyReader(phase).get_data([str(staged.folder)])[0].transpose(2, 1, 0)
    np.testing.assert_array_equal(array, VOLUME + 200 * phase)
    assert [made.TemporalPositionIdentifier for made in staged.datasets] == [phase + 1] * 4


def test_a_file_that_is_there_twice_counts_once(files, tmp_path):
    paths = files()
    for path in (paths[0], *paths[:2]):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    assert len(stage(list((tmp_path / "in").iterdir()), tmp_path / "work")[0].datasets) == 4


def test_the_table_of_contents_of_a_cd_is_left_aside(files, tmp_path):
    contents = FileSet()
    for path in files():
        contents.add(path)
    contents.write(tmp_path / "cd")
    assert (tmp_path / "cd" / "DICOMDIR").is_file()
    (staged,) = stage([path for path in (tmp_path / "cd").rglob("*") if path.is_file()], tmp_path / "work")
    assert len(staged.datasets) == 4


def test_directions_that_differ_by_a_rounding_are_one(files, tmp_path):
    paths = files()
    change(paths[1], ImageOrientationPatient=[1, 0, 1e-6, 0, 1, 0])
    assert len({str(made.ImageOrientationPatient) for made in stage(paths, tmp_path / "work")[0].datasets}) == 1
