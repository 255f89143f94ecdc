"""From an archive to an archive by the command: sent, segmented, found again, at the same place in space."""

import resource
import signal
import subprocess
import sys

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import generate_uid

from noise2mask.clinical.dicomweb import Archive, Found
from noise2mask.clinical.series import hashed

from ..clinical.scanner import PATIENT, magnetic_resonance
from .conftest import MARKS, VOLUME
from .orthanc import Line, free_port

pytestmark = [*MARKS, pytest.mark.e2e]


def segment(orthanc, study, output, weights, *more):
    url = getattr(orthanc, "url", orthanc)
    return "segment", "pgdiffseg", "--dicomweb", url, "--study", study, "-o", output, "--weights", weights, *more


@pytest.fixture
def study(orthanc, tmp_path):
    """UID of a study of one series, the half of it sent by C-STORE and the other half by STOW-RS."""
    uid = generate_uid()
    magnetic_resonance(tmp_path / "sent", VOLUME, study=uid)
    files = sorted((tmp_path / "sent").iterdir())
    (tmp_path / "half").mkdir()
    for path in files[:2]:
        path.rename(tmp_path / "half" / path.name)
    orthanc.send(tmp_path / "half")
    Archive(orthanc.url).store([hd.imread(path) for path in files[2:]])
    return uid


def test_a_study_comes_back_with_segmentations_of_the_same_geometry(orthanc, study, weights, command, tmp_path):
    run = command(*segment(orthanc, study, tmp_path / "out", weights))
    assert run.wait() == 0, run.text
    archive = Archive(orthanc.url)
    (source,) = archive.series(StudyInstanceUID=study, Modality="MR")
    found = archive.series(StudyInstanceUID=study, Modality="SEG")
    segmentations = [hd.seg.segread(archive.fetch(made, tmp_path / "back")[0]) for made in found]
    by_type = {str(made.SegmentationType): made for made in segmentations}
    assert set(by_type) == {"BINARY", "FRACTIONAL"} and archive.series(StudyInstanceUID=study, Modality="OT")
    slices = [hd.imread(path) for path in archive.fetch(source, tmp_path / "slices")]
    slices.sort(key=lambda made: made.ImagePositionPatient[2])
    seg = by_type["BINARY"]
    mask = seg.get_pixels_by_source_instance([made.SOPInstanceUID for made in slices], segment_numbers=[1])[..., 0]
    name = hashed(source.series)
    nifti = nib.load(tmp_path / "out" / name / f"{name}_mask.nii.gz")
    np.testing.assert_array_equal(mask, nifti.get_fdata().transpose(2, 1, 0))
    volume = seg.get_volume(combine_segments=True)
    assert 0 < mask.mean() < 1 and np.allclose(volume.spacing, (2, 0.5, 0.7))
    ends = [made.ImagePositionPatient for made in (slices[0], slices[-1])]
    assert any(np.allclose(volume.position, end) for end in ends)


def test_once_more_changes_nothing(orthanc, study, weights, command, tmp_path):
    assert command(*segment(orthanc, study, tmp_path / "out", weights)).wait() == 0
    first, changes = orthanc.objects(), orthanc.rest("/changes?last")["Last"]
    assert command(*segment(orthanc, study, tmp_path / "elsewhere", weights)).wait() == 0
    assert orthanc.objects() == first and len(first) == len(VOLUME) + 3
    kinds = [change["ChangeType"] for change in orthanc.rest(f"/changes?since={changes}")["Changes"]]
    assert [kind for kind in kinds if not kind.startswith("Stable")] == []  # these come by the clock, after a rest


def test_no_name_and_no_identifier_is_said_or_written(orthanc, study, weights, command, tmp_path):
    run = command(*segment(orthanc, study, tmp_path / "out", weights), PYTHONWARNINGS="default")
    run.wait()
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    texts = [run.text, *(path.read_text() for path in files if path.suffix == ".json"), *map(str, files)]
    (source,) = Archive(orthanc.url).series(StudyInstanceUID=study, Modality="MR")
    for secret in (PATIENT, "id-4711", "19700101", study, source.series):
        assert not any(secret in text for text in texts)
    assert not (tmp_path / "out" / hashed(source.series) / "fetched").exists()


def test_series_that_can_not_be_segmented_are_named_and_the_others_are_done(orthanc, study, weights, command, tmp_path):
    bad = magnetic_resonance(tmp_path / "bad", VOLUME, study=study, tilt=1.0)
    orthanc.send(tmp_path / "bad")
    run = command(*segment(orthanc, study, tmp_path / "out", weights))
    assert run.wait() == 2
    assert f"series {hashed(bad)}: The slices are shifted" in run.text and "1 of 2 series were left out" in run.text
    assert len(orthanc.objects("SEG")) == 2


@pytest.mark.parametrize(
    ("uid", "more", "said"),
    [
        ("1.2.3", (), "holds nothing, expected a series of images"),
        ("no uid", (), "is no UID"),
        (None, ("--modality", "US"), "holds MR, expected a series of modality US"),
    ],
)
def test_what_is_not_there_is_refused(orthanc, study, weights, command, tmp_path, uid, more, said):
    run = command(*segment(orthanc, uid or study, tmp_path / "out", weights, *more))
    assert run.wait() == 2 and said in run.text and "Traceback" not in run.text


def test_an_archive_that_is_down_has_an_exit_code_of_its_own(weights, command, tmp_path):
    run = command(*segment(f"http://127.0.0.1:{free_port()}/dicom-web", "1.2.3", tmp_path / "out", weights))
    assert run.wait() == 3 and "can not be reached" in run.text.splitlines()[-1] and "Traceback" not in run.text


def test_a_call_that_the_line_broke_goes_on(orthanc, study, weights, command, tmp_path):
    broken = Line(orthanc.web, answers=[5000, 0, 0, 0])
    run = command(*segment(broken, study, tmp_path / "out", weights))
    assert run.wait() == 3 and not orthanc.objects("SEG")
    assert command(*segment(orthanc, study, tmp_path / "out", weights)).wait() == 0
    assert len(orthanc.objects("SEG")) == 2


def test_where_the_disk_is_full_it_is_said_and_nothing_is_stored(orthanc, study, weights, tmp_path):
    """The limit stands for the disk: files may not grow beyond it, which gives the same kind of error."""

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    call = [sys.executable, "-m", "noise2mask.cli.app", *map(str, segment(orthanc, study, tmp_path / "out", weights))]
    done = subprocess.run(call, preexec_fn=small, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "there is no room for a file" in done.stderr, done.stderr
    assert orthanc.objects("SEG") == [] and orthanc.objects("OT") == []


def test_a_series_that_is_gone_is_told(orthanc, tmp_path):
    with pytest.raises(OSError, match="has no objects of series"):
        Archive(orthanc.url).fetch(Found("1.2.3", "1.2.4", "MR"), tmp_path)
