"""From a scanner's files to objects for the archive, by the command."""

import json
import traceback
import warnings
import zipfile

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from noise2mask.cli.app import main
from noise2mask.clinical import results
from noise2mask.clinical.coded import PRIVATE
from noise2mask.clinical.results import check_objects
from noise2mask.clinical.series import hashed, stage

from .scanner import PATIENT, change, magnetic_resonance, ultrasound

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("own_logging")]
VOLUME = np.random.default_rng(0).integers(0, 255, (4, 20, 24))
TINY = "image_size=[16,16] network_def::base=8 network_def::multipliers=[1,2] samples=2".split()


@pytest.fixture
def segment(weights, monkeypatch, capsys):
    """segment(input, output): exit code, and all that was said."""

    def run(source, output, *more):
        settings = [part for text in (*TINY, *more) for part in ("--set", text)]
        arguments = ["segment", "pgdiffseg", str(source), "-o", str(output), "--weights", str(weights), *settings]
        monkeypatch.setattr("sys.argv", ["noise2mask", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out + said.err

    return run


def test_a_series_becomes_segmentations_of_the_same_geometry(segment, tmp_path):
    uid = magnetic_resonance(tmp_path / "in" / "deeper", VOLUME)
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 0, said
    name = hashed(uid)
    seg = hd.seg.segread(tmp_path / "out" / f"{name}_mask.dcm")
    mask = nib.load(tmp_path / "out" / f"{name}_mask.nii.gz")
    sources = [pydicom.dcmread(path) for path in (tmp_path / "in" / "deeper").iterdir()]
    sources.sort(key=lambda made: made.ImagePositionPatient[2])
    frames = seg.get_pixels_by_source_instance([made.SOPInstanceUID for made in sources], segment_numbers=[1])[..., 0]
    np.testing.assert_array_equal(frames, mask.get_fdata().transpose(2, 1, 0))
    affine = np.diag([-1, -1, 1, 1]) @ mask.affine  # NIfTI's right, anterior to DICOM's left, posterior
    np.testing.assert_allclose(affine[:3, 3], sources[0].ImagePositionPatient)
    assert seg.SegmentationType == "BINARY" and 0 < frames.mean() < 1
    probability = hd.seg.segread(tmp_path / "out" / f"{name}_probability.dcm")
    assert probability.SegmentationType == "FRACTIONAL"


def test_weights_of_ones_own_are_coded_by_what_they_segment_and_not_as_the_bundles_own(segment, tmp_path):
    uid = magnetic_resonance(tmp_path / "in", VOLUME)
    found = {}
    for name in ("foreground", "optic cup", "lesion"):
        code, said = segment(tmp_path / "in", tmp_path / name, f"structure={name}")
        assert code == 0, said
        (made,) = pydicom.dcmread(tmp_path / name / f"{hashed(uid)}_mask.dcm").SegmentSequence
        (kind,) = made.SegmentedPropertyTypeCodeSequence
        regions = [region.CodeValue for region in made.get("AnatomicRegionSequence", [])]
        found[name] = (made.SegmentLabel, kind.CodeValue, kind.CodingSchemeDesignator, regions)
    assert found["foreground"] == ("foreground", "foreground", PRIVATE, [])
    assert found["optic cup"] == ("optic cup", "optic cup", PRIVATE, [])
    assert found["lesion"] == ("lesion", "52988006", "SCT", ["76752008"])  # of the breast


def test_nothing_that_is_written_or_said_leads_back_to_the_patient(segment, tmp_path):
    uid = magnetic_resonance(tmp_path / "in", VOLUME)
    _, said = segment(tmp_path / "in", tmp_path / "out")
    texts = [said] + [path.read_text() for path in (tmp_path / "out").glob("*.json")]
    names = " ".join(path.name for path in (tmp_path / "out").rglob("*"))
    for secret in (PATIENT, "id-4711", "19700101", uid):
        assert secret not in names and not any(secret in text for text in texts)


def test_an_invalid_uid_is_not_quoted(segment, tmp_path, recwarn):
    for name in "ab":
        magnetic_resonance(tmp_path / "in" / name, VOLUME, series=f"1.2.840.4711.0{'ab'.index(name) + 1}.1")
    recwarn.clear()  # writing the files says something
    warnings.simplefilter("always")
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 0 and "4711" not in said + " ".join(str(warning.message) for warning in recwarn)


def test_a_zip_gives_what_its_folder_gives(segment, tmp_path):
    name = hashed(magnetic_resonance(tmp_path / "in", VOLUME))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in (tmp_path / "in").iterdir():
            archive.write(path, f"deep/{path.name}")
    segment(tmp_path / "in", tmp_path / "a")
    segment(tmp_path / "in.zip", tmp_path / "b")
    for kind in ("mask", "probability"):
        one, other = (pydicom.dcmread(tmp_path / folder / f"{name}_{kind}.dcm") for folder in "ab")
        assert one.SOPInstanceUID == other.SOPInstanceUID and one.PixelData == other.PixelData


def test_a_still_of_ultrasound_is_one_file(segment, tmp_path):
    ultrasound(tmp_path / "us.dcm", VOLUME[0].astype(np.uint8))
    change(tmp_path / "us.dcm", NumberOfFrames=1, InstanceNumber=-1)
    code, said = segment(tmp_path / "us.dcm", tmp_path / "out")
    assert code == 0, said
    (path,) = tmp_path.glob("out/*_mask.dcm")
    assert hd.seg.segread(path).NumberOfFrames == 1
    (case,) = json.loads((tmp_path / "out" / "report.json").read_text())["cases"]
    assert "pixels" in case and "volume_mm3" not in case  # a voxel's size is not known


def test_one_slice_of_a_volume_keeps_its_place(segment, tmp_path):
    uid = magnetic_resonance(tmp_path / "in", VOLUME[:1])
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 0, said
    made = hd.seg.segread(tmp_path / "out" / f"{hashed(uid)}_mask.dcm")
    (frame,) = made.PerFrameFunctionalGroupsSequence
    assert frame.PlanePositionSequence[0].ImagePositionPatient == [5, -3, 0]
    affine = nib.load(tmp_path / "out" / f"{hashed(uid)}_mask.nii.gz").affine
    np.testing.assert_allclose(affine[:3, 3], [-5, 3, 0])
    np.testing.assert_allclose(np.abs(np.diag(affine))[:2], [0.7, 0.5])


def test_stills_and_a_clip_of_one_series_are_cases_whose_results_are_one_series_of_each_kind(segment, tmp_path):
    (tmp_path / "in").mkdir()
    for number, frames in enumerate((VOLUME[0], VOLUME[1], VOLUME)):
        ultrasound(tmp_path / "in" / f"{number}.dcm", frames.astype(np.uint8))
        change(
            tmp_path / "in" / f"{number}.dcm",
            SeriesInstanceUID="1.2.3",
            StudyInstanceUID="1.2",
            InstanceNumber=number + 5,
        )
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 0 and "3 cases, look at the first ones first" in said, said
    made = {
        kind: sorted(
            (pydicom.dcmread(path) for path in tmp_path.glob(f"out/*_{kind}.dcm")), key=lambda one: one.InstanceNumber
        )
        for kind in ("mask", "probability", "preview")
    }
    assert [len(found) for found in made.values()] == [2, 2, 3]  # highdicom makes no segmentation of a clip
    for found in made.values():
        assert len({one.SeriesInstanceUID for one in found}) == 1 and len({one.SOPInstanceUID for one in found}) == len(
            found
        )
        assert [one.InstanceNumber for one in found] == [5, 6, 7][: len(found)]
    for number, one in enumerate(made["mask"]):
        (referred,) = one.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        assert referred.ReferencedSOPInstanceUID == pydicom.dcmread(tmp_path / "in" / f"{number}.dcm").SOPInstanceUID


def test_a_zip_is_not_left_unpacked(segment, tmp_path):
    magnetic_resonance(tmp_path / "in", VOLUME, tilt=2.0)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in (tmp_path / "in").iterdir():
            archive.write(path, path.name)
    code, said = segment(tmp_path / "in.zip", tmp_path / "out")
    assert code == 2 and "gantry tilted" in said and not list(tmp_path.glob("out/series/*"))


def test_a_zip_of_pictures_is_refused(segment, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("a.png", b"picture")
    code, said = segment(tmp_path / "in.zip", tmp_path / "out")
    assert code == 2 and "in.zip holds no DICOM file, which a zip is for: unpack it, and give the folder" in said
    assert not (tmp_path / "out" / "series" / "unpacked").exists()


def test_a_zip_that_is_not_there_is_named(segment, tmp_path):
    code, said = segment(tmp_path / "none.zip", tmp_path / "out")
    assert code == 2 and "none.zip does not exist" in said


# Several cases


def test_a_folder_of_series_is_a_folder_of_cases_each_with_the_results_that_it_has_alone(segment, tmp_path):
    names = [hashed(magnetic_resonance(tmp_path / "in" / patient / "mr", VOLUME + k)) for k, patient in enumerate("ab")]
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 0 and "2 cases, look at the first ones first" in said, said
    segment(tmp_path / "in" / "b", tmp_path / "alone")
    for kind in ("mask", "probability"):
        one, other = (pydicom.dcmread(tmp_path / folder / f"{names[1]}_{kind}.dcm") for folder in ("out", "alone"))
        assert one.SOPInstanceUID == other.SOPInstanceUID and one.PixelData == other.PixelData
    assert all((tmp_path / "out" / f"{names[0]}_{kind}.dcm").is_file() for kind in ("mask", "probability", "preview"))


def test_a_series_whose_files_stand_in_several_folders_is_one_case(segment, tmp_path):
    name = hashed(magnetic_resonance(tmp_path / "in" / "a", VOLUME))
    (tmp_path / "in" / "b").mkdir()
    next((tmp_path / "in" / "a").iterdir()).rename(tmp_path / "in" / "b" / "1.dcm")
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 0 and [path.name for path in tmp_path.glob("out/*_mask.dcm")] == [f"{name}_mask.dcm"], said


def test_all_cases_that_can_not_be_segmented_are_named_before_anything_runs(segment, tmp_path):
    for patient, tilt in (("a", 0.0), ("b", 2.0), ("c", 3.0)):
        magnetic_resonance(tmp_path / "in" / patient, VOLUME, tilt=tilt)
    magnetic_resonance(tmp_path / "in" / "d", VOLUME)
    magnetic_resonance(tmp_path / "in" / "d" / "other", VOLUME[:2])
    for file in (tmp_path / "in" / "d" / "other").iterdir():
        file.rename(tmp_path / "in" / "d" / f"other{file.name}")
    (tmp_path / "in" / "d" / "other").rmdir()
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 2 and not list(tmp_path.glob("out/*.json"))
    for words in ("in/b: The slices are shifted", "in/c: The slices are shifted", "in/d: There are 2 series"):
        assert words in said
    assert "in/a: " not in said


def test_a_series_that_is_spread_over_the_folders_of_others_is_refused(segment, tmp_path):
    uid = magnetic_resonance(tmp_path / "in" / "a", VOLUME)
    magnetic_resonance(tmp_path / "in" / "b", VOLUME)
    magnetic_resonance(tmp_path / "in" / "c", VOLUME, series=uid)
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 2 and f"series {hashed(uid)} stands in {tmp_path}/in/a and {tmp_path}/in/c" in said


@pytest.mark.parametrize("place", ["a.png", "b/a.nii.gz"])
def test_dicom_and_other_images_are_refused_and_one_of_each_is_named(segment, tmp_path, place):
    magnetic_resonance(tmp_path / "in" / "b" / "deep", VOLUME)
    (tmp_path / "in" / place).touch()
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 2 and str(tmp_path / "in" / place) in said and f"{tmp_path}/in/b/deep/{PATIENT}1.dcm" in said


def test_what_no_object_can_be_made_of_is_refused_before_anything_runs_and_not_quoted(tmp_path, monkeypatch):
    magnetic_resonance(tmp_path / "in", VOLUME)
    (case,) = stage(list((tmp_path / "in").iterdir()), tmp_path / "work")
    check_objects(case, "b", {"version": "1"})  # without codes: private ones

    def fail(*args):
        raise ValueError(f"{PATIENT} is no name.")

    monkeypatch.setattr(results, "mask_object", fail)
    with pytest.raises(ValueError, match=r"No DICOM object can be made of \w{16} \(ValueError\)") as raised:
        check_objects(case, "b", {"version": "1", "coded_structures": {"lesion": {}}})
    assert PATIENT not in "".join(traceback.format_exception(raised.value))


def test_results_inside_of_the_input_are_refused(segment, tmp_path):
    for source, output in (("in", "in/out"), ("in", "in"), ("out/series/in", "out")):
        magnetic_resonance(tmp_path / source, VOLUME)
        code, said = segment(tmp_path / source, tmp_path / output)
        assert code == 2 and "stand in one another: give another output" in said


def test_a_phase_is_segmented_and_referred_to(segment, tmp_path):
    uid = generate_uid()
    for p in (0, 1):
        magnetic_resonance(tmp_path / "in" / f"{p}", VOLUME, study="1.2", series=uid)
        for path in (tmp_path / "in" / f"{p}").iterdir():
            change(path, TemporalPositionIdentifier=p + 1)
    code, said = segment(tmp_path / "in", tmp_path / "out", "phase=1")
    assert code == 0, said
    made = hd.seg.segread(tmp_path / "out" / f"{hashed(uid)}_mask.dcm")
    second = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "in" / "1").iterdir()}
    assert {
        item.ReferencedSOPInstanceUID for item in made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } == second


def test_dicom_is_not_shared_out_over_processes(segment, tmp_path, monkeypatch):
    magnetic_resonance(tmp_path / "in", VOLUME)
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 2 and "is DICOM, for one process, but there are 2: run it without torchrun" in said
