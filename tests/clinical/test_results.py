"""From a scanner's files to objects for the archive, by the command."""

import json
import zipfile

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest

from noise2mask.cli.app import main
from noise2mask.clinical.series import hashed

from .scanner import PATIENT, magnetic_resonance, ultrasound

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("own_logging")]
VOLUME = np.random.default_rng(0).integers(0, 255, (4, 20, 24))
TINY = {"image_size": "[16,16]", "network_def::base": "8", "network_def::multipliers": "[1,2]", "samples": "2"}


@pytest.fixture
def segment(weights, monkeypatch, capsys):
    """segment(input, output): exit code, and all that was said."""

    def run(source, output):
        settings = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
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


def test_nothing_that_is_written_or_said_leads_back_to_the_patient(segment, tmp_path):
    uid = magnetic_resonance(tmp_path / "in", VOLUME)
    _, said = segment(tmp_path / "in", tmp_path / "out")
    texts = [said] + [path.read_text() for path in (tmp_path / "out").glob("*.json")]
    names = " ".join(path.name for path in (tmp_path / "out").rglob("*"))
    for secret in (PATIENT, "id-4711", "19700101", uid):
        assert secret not in names and not any(secret in text for text in texts)


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
    uid = ultrasound(tmp_path / "us.dcm", VOLUME[0].astype(np.uint8))
    code, said = segment(tmp_path / "us.dcm", tmp_path / "out")
    assert code == 0, said
    assert hd.seg.segread(tmp_path / "out" / f"{hashed(uid)}_mask.dcm").NumberOfFrames == 1
    assert json.loads((tmp_path / "out" / "report.json").read_text())["cases"]


def test_what_can_not_be_segmented_is_refused_before_anything_runs(segment, tmp_path):
    magnetic_resonance(tmp_path / "in" / "a", VOLUME)
    magnetic_resonance(tmp_path / "in" / "b", VOLUME)
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 2 and "There are 2 series" in said and not list(tmp_path.glob("out/*.json"))


def test_a_series_is_not_shared_out_over_processes(segment, tmp_path, monkeypatch):
    magnetic_resonance(tmp_path / "in", VOLUME)
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, said = segment(tmp_path / "in", tmp_path / "out")
    assert code == 2 and "a series, for 2 processes: run it without torchrun" in said
