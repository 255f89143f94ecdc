"""The application of docs/examples under MONAI Deploy: DICOM in, the mask of the command line as DICOM SEG out."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(importlib.util.find_spec("holoscan") is None, reason="needs MONAI Deploy: tox -e deploy"),
]

ROOT = Path(__file__).parents[2]
APP = ROOT / "docs" / "examples" / "monai_deploy" / "app.py"
VOLUME = np.random.default_rng(0).integers(0, 255, (4, 20, 24))
TINY = "{structure: lesion, image_size: [16, 16], network_def::base: 8, network_def::multipliers: [1, 2], samples: 2}\n"
WEIGHTS = """
import torch
from noise2mask import PGDiffSeg
torch.manual_seed(3)
torch.save({"model": PGDiffSeg(base=8, multipliers=(1, 2), dense_layers=2, num_groups=4).state_dict()}, "model.pt")
"""


def python(*arguments, folder, **environment):
    """Run a Python command; its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def bundle(folder):
    """A package with random weights, unpacked."""
    own = {"folder": folder, "PYTHONPATH": str(ROOT / "common")}
    code, said = python("-c", WEIGHTS, **own)
    assert code == 0, said
    (folder / "tiny.yaml").write_text(TINY)
    options = ("--weights", "model.pt", "--overlay", "tiny.yaml", "--output", "packed")
    code, said = python("-m", "noise2mask.package_bundle", ROOT / "bundles" / "pgdiffseg", *options, **own)
    assert code == 0, said
    with zipfile.ZipFile(next((folder / "packed").glob("*.zip"))) as archive:
        archive.extractall(folder)
    return folder / "pgdiffseg"


@pytest.fixture(scope="module")
def series(folder):
    from ..clinical.scanner import magnetic_resonance

    magnetic_resonance(folder / "series", VOLUME)
    return folder / "series"


def test_the_segmentation_is_the_mask_of_the_command_line_slice_by_slice(folder, bundle, series):
    import highdicom as hd
    import nibabel as nib

    code, said = python(APP, "-i", series, "-m", bundle, "-o", folder / "out", folder=folder, MODALITY="MR")
    assert code == 0, said[-4000:]
    config = ("--bundle_root", bundle, "--config_file", bundle / "configs" / "inference.json")
    where = ("--input", series, "--output_dir", folder / "by_command")
    code, said = python("-m", "monai.bundle", "run", "inferring", *config, *where, folder=folder)
    assert code == 0, said[-4000:]
    mask = nib.load(folder / "by_command" / "series_mask.nii.gz").get_fdata().transpose(2, 1, 0)
    seg = hd.seg.segread(next((folder / "out").glob("*.dcm")))
    slices = sorted(map(hd.imread, series.iterdir()), key=lambda made: made.ImagePositionPatient[2])
    frames = seg.get_pixels_by_source_instance([made.SOPInstanceUID for made in slices], segment_numbers=[1])[..., 0]
    np.testing.assert_array_equal(frames, mask)
    assert 0 < mask.mean() < 1
    segment = seg.SegmentSequence[0]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    assert segment.AnatomicRegionSequence[0].CodeMeaning == "Breast"


def test_a_series_of_another_modality_is_not_segmented(folder, bundle, series):
    code, said = python(APP, "-i", series, "-m", bundle, "-o", folder / "none", folder=folder)
    assert code != 0 and not list((folder / "none").glob("*.dcm")), said[-2000:]
    assert "Missing expected input 'study_selected_series_list'" in said, said[-4000:]  # and not of anything else


def test_structures_without_a_code_whose_names_begin_alike_get_codes_of_their_own():
    names = ("cyst", "segment_of_liver_1", "segment_of_liver_2")
    code = f"from app import private_code; print([private_code(name) for name in {names}])"
    done, said = python("-c", code, folder=APP.parent)
    values = re.findall(r"\('(\w+)', '99NOISE2MASK'", said)
    assert done == 0 and values[0] == "cyst" and len(set(values)) == 3 and max(map(len, values)) == 16, said


def test_nothing_of_this_project_is_installed(folder):
    code, said = python("-c", "import noise2mask", folder=folder)
    assert code == 1 and "No module named 'noise2mask'" in said
