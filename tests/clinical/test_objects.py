"""Segmentations and pictures as DICOM objects: what comes back is what was written, beside the right source."""

import io
import time

import highdicom as hd
import numpy as np
import pydicom
import pytest

from noise2mask.clinical.objects import Maker, can_be_referred_to, mask_object, picture_object, probability_object
from noise2mask.clinical.series import stage

from .scanner import PATIENT, change, enhanced, magnetic_resonance, ultrasound

STRUCTURE = {
    "label": "lesion",
    "category": ["49755003", "SCT", "Morphologically Abnormal Structure"],
    "type": ["52988006", "SCT", "Lesion"],
    "anatomic_regions": [["76752008", "SCT", "Breast"]],
}
MAKER = Maker("pgdiffseg", "1.2.3", [STRUCTURE], "recipe")
RANDOM = np.random.default_rng(0)


@pytest.fixture
def series(tmp_path):
    magnetic_resonance(tmp_path / "in", RANDOM.integers(0, 100, (4, 16, 12)))
    return stage(list((tmp_path / "in").iterdir()), tmp_path / "work")[0]


def saved(made, path):
    made.save_as(path)
    return path


def frames(path, series):
    """(D, H, W) of the one segment, by the source's instances."""
    uids = [made.SOPInstanceUID for made in series.datasets]
    return hd.seg.segread(path).get_pixels_by_source_instance(uids, segment_numbers=[1], rescale_fractional=True)[
        ..., 0
    ]


def test_a_mask_comes_back_bit_for_bit_at_the_slices_it_belongs_to(series, tmp_path):
    mask = RANDOM.integers(0, 2, (4, 16, 12))
    path = saved(mask_object(series.datasets, mask, MAKER), tmp_path / "mask.dcm")
    np.testing.assert_array_equal(frames(path, series), mask)
    made = hd.seg.segread(path)
    volume = made.get_volume(combine_segments=True)
    assert volume.spatial_shape == (4, 16, 12) and np.allclose(volume.spacing, (2, 0.5, 0.7))
    assert made.SegmentationType == "BINARY" and made.StudyInstanceUID == series.datasets[0].StudyInstanceUID


def test_a_probability_comes_back_within_half_a_step_of_255(series, tmp_path):
    probability = RANDOM.random((4, 16, 12))
    path = saved(probability_object(series.datasets, probability, MAKER), tmp_path / "p.dcm")
    np.testing.assert_allclose(frames(path, series), probability, atol=0.5 / 255 + 1e-6)
    assert hd.seg.segread(path).SegmentationFractionalType == "PROBABILITY"


def test_the_structure_and_the_algorithm_are_coded(series):
    segment = mask_object(series.datasets, np.zeros((4, 16, 12)), MAKER).SegmentSequence[0]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    assert segment.AnatomicRegionSequence[0].CodeValue == "76752008" and segment.SegmentLabel == "lesion"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("noise2mask pgdiffseg", "1.2.3")


def test_an_empty_mask_is_an_object_too(series, tmp_path):
    path = saved(mask_object(series.datasets, np.zeros((4, 16, 12)), MAKER), tmp_path / "mask.dcm")
    assert not frames(path, series).any()


def test_uids_are_the_same_again_and_others_for_another_maker_or_series(series, tmp_path):
    empty = np.zeros((4, 16, 12))
    first, again = (mask_object(series.datasets, empty, MAKER) for _ in range(2))
    assert first.SOPInstanceUID == again.SOPInstanceUID and first.SeriesInstanceUID == again.SeriesInstanceUID
    others = [MAKER._replace(version="1.2.4"), MAKER._replace(bundle="x"), MAKER._replace(recipe="y")]
    uids = {str(mask_object(series.datasets, empty, maker).SOPInstanceUID) for maker in [MAKER, *others]}
    uids |= {
        str(probability_object(series.datasets, empty, MAKER).SOPInstanceUID),
        MAKER.uid([*series.datasets[:3]], "mask"),
    }
    assert len(uids) == 6 and all(pydicom.uid.UID(uid).is_valid for uid in uids)


def bytes_of(made):
    file = io.BytesIO()
    made.save_as(file)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["slices", "still", "frames"])
def test_made_at_another_time_they_are_the_same_bytes(kind, series, tmp_path):
    source = series.datasets
    if kind != "slices":
        ultrasound(tmp_path / "a.dcm", np.zeros((16, 12), np.uint8))
        enhanced(tmp_path / "b.dcm", np.zeros((4, 16, 12)), (0, 2, 4, 6))
        source = stage([tmp_path / ("a.dcm" if kind == "still" else "b.dcm")], tmp_path / "work")[0].datasets
    mask = np.ones((1 if kind == "still" else 4, 16, 12))
    makes = (
        lambda: mask_object(source, mask, MAKER),
        lambda: probability_object(source, mask / 2, MAKER),
        lambda: picture_object(source, np.zeros((6, 5, 3), np.uint8), MAKER),
    )
    first = [bytes_of(make()) for make in makes]
    time.sleep(1.1)
    assert [bytes_of(make()) for make in makes] == first


def test_date_and_time_are_the_first_that_the_source_has(series):
    source, mask = series.datasets, np.zeros((4, 16, 12))
    assert mask_object(source, mask, MAKER).ContentDate == "20260101"
    source[0].SeriesDate, source[0].SeriesTime = "20251231", "235959"
    made = mask_object(source, mask, MAKER)
    assert (made.ContentDate, made.ContentTime) == ("20251231", "235959") and "InstanceCreationDate" not in made
    for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate", "StudyDate"):
        setattr(source[0], keyword, None)
    assert mask_object(source, mask, MAKER).ContentDate == "19000101"


def test_a_series_that_has_grown_gets_other_uids(series):
    uids = {str(mask_object(series.datasets[:k], np.zeros((k, 16, 12)), MAKER).SOPInstanceUID) for k in (3, 4)}
    assert len(uids) == 2 and MAKER.uid(series.datasets[::-1], "mask") in uids


def test_any_name_of_a_bundle_makes_a_label(series):
    maker = MAKER._replace(bundle="pgdiffseg-v0.1.0 " + "ä" * 80)
    assert mask_object(series.datasets, np.zeros((4, 16, 12)), maker).ContentLabel == "PGDIFFSEG_V0_1_0"


def test_a_picture_belongs_to_the_patient_and_the_study(series, tmp_path):
    picture = RANDOM.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    back = pydicom.dcmread(saved(picture_object(series.datasets, picture, MAKER), tmp_path / "sc.dcm"))
    np.testing.assert_array_equal(back.pixel_array, picture)
    assert back.PatientName == PATIENT and back.StudyInstanceUID == series.datasets[0].StudyInstanceUID
    assert back.SeriesInstanceUID != series.datasets[0].SeriesInstanceUID and back.Modality == "OT"
    assert back["PatientOrientation"].is_empty  # its four panels have none


@pytest.mark.parametrize("shape", [(16, 12), (16, 12, 3)])
def test_a_still_of_ultrasound_has_no_geometry_and_is_referred_to(shape, tmp_path):
    ultrasound(tmp_path / "us.dcm", RANDOM.integers(0, 255, shape, dtype=np.uint8))
    (series,) = stage([tmp_path / "us.dcm"], tmp_path / "work")
    mask = RANDOM.integers(0, 2, (1, 16, 12))
    np.testing.assert_array_equal(
        frames(saved(mask_object(series.datasets, mask, MAKER), tmp_path / "m.dcm"), series), mask
    )


@pytest.mark.parametrize("frame", [None, "1.2.3"])
def test_what_can_be_referred_to_is_what_highdicom_takes(frame, tmp_path):
    for number, shape in enumerate([(16, 12), (1, 16, 12), (3, 16, 12)]):
        path = tmp_path / f"{number}.dcm"
        ultrasound(path, RANDOM.integers(0, 255, shape, dtype=np.uint8))
        change(path, **({"FrameOfReferenceUID": frame} if frame else {}))
        source, mask = stage([path], tmp_path / "work")[0].datasets, np.zeros((shape[0] if number else 1, 16, 12))
        assert can_be_referred_to(source) is (number == 0)
        if number == 0:
            assert mask_object(source, mask, MAKER).NumberOfFrames == 1


def test_frames_with_geometry_are_referred_to(tmp_path):
    enhanced(tmp_path / "mr.dcm", RANDOM.integers(0, 100, (3, 16, 12)), (0, 2, 4))
    (series,), mask = stage([tmp_path / "mr.dcm"], tmp_path / "work"), RANDOM.integers(0, 2, (3, 16, 12))
    assert can_be_referred_to(series.datasets)
    made = mask_object(series.datasets, mask, MAKER)
    back = made.get_pixels_by_source_frame(series.datasets[0].SOPInstanceUID, [1, 2, 3], segment_numbers=[1])
    np.testing.assert_array_equal(back[..., 0], mask)


def test_slices_without_spacing_or_frame_of_reference_are_not_referred_to(series):
    del series.datasets[2].PixelSpacing
    assert not can_be_referred_to(series.datasets)
    del series.datasets[0].FrameOfReferenceUID
    assert not can_be_referred_to(series.datasets)


def test_frames_without_geometry_can_not_be_referred_to(tmp_path):
    ultrasound(tmp_path / "us.dcm", RANDOM.integers(0, 255, (3, 16, 12), dtype=np.uint8))
    (series,) = stage([tmp_path / "us.dcm"], tmp_path / "work")
    assert can_be_referred_to(series.datasets) is False
    with pytest.raises(ValueError, match="Only a single frame"):
        mask_object(series.datasets, np.zeros((3, 16, 12)), MAKER)
