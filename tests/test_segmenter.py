"""In Python a bundle gives what the command writes, for a path, an array and a MetaTensor."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.data import MetaTensor
from PIL import Image

import noise2mask
from noise2mask import segmenter as segmenter_module
from noise2mask.networks.medsegdiff import MedSegDiff
from noise2mask.networks.medsegdiff_v2 import MedSegDiffV2
from noise2mask.networks.pgdiffseg import PGDiffSeg

TINY = {"base": 8, "multipliers": (1, 2), "dense_layers": 2, "num_groups": 4}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights, and how they were trained."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(PGDiffSeg(**TINY).state_dict(), path)
    network = {"_target_": "noise2mask.networks.pgdiffseg.PGDiffSeg", **TINY, "multipliers": [1, 2]}
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"image_size": [16, 16], "network_def": network}))
    return path


@pytest.fixture(scope="module")
def segmenter(weights):
    return noise2mask.Segmenter("pgdiffseg", weights, samples=3)


@pytest.fixture
def picture():
    """(20, 31): rows, columns."""
    return np.random.default_rng(0).integers(0, 255, (20, 31), dtype=np.uint8)


def equal(first, second):
    assert first.triage == second.triage
    for one, other in zip(first[:3], second[:3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_preset_samples_faster_and_that_of_another_network_does_not_fit(weights):
    settings = noise2mask.Segmenter("pgdiffseg", weights, presets=["fast"]).inferer.settings
    assert (settings["timesteps"], settings["samples"]) == ([999], 6)
    assert noise2mask.Segmenter("pgdiffseg", weights, presets="fast").inferer.settings == settings
    with pytest.raises(ValueError, match="no setting preset: give presets='fast'"):
        noise2mask.Segmenter("pgdiffseg", weights, preset="fast")
    with pytest.raises(ValueError, match="does not fit the network"):
        noise2mask.Segmenter("pgdiffseg", weights, presets=["small"])


def test_a_path_and_an_array_of_a_picture_give_the_same_in_rows_and_columns(segmenter, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    result = segmenter(tmp_path / "a.png")
    equal(segmenter(picture), result)
    assert result.mask.shape == picture.shape and result.mask.dtype == bool
    np.testing.assert_array_equal(result.mask, result.probability > 0.5)
    assert 0 <= result.probability.min() < result.probability.max() <= 1 and 0 <= result.std.max() <= 0.5


def test_an_array_of_slices_is_segmented_like_its_slices(segmenter):
    slices = np.random.default_rng(1).integers(0, 255, (20, 31, 3)).astype(np.float32)
    whole = segmenter(slices)
    for k in range(3):
        np.testing.assert_allclose(whole.probability[..., k], segmenter(slices[..., k]).probability, atol=1e-5)


def test_a_volume_and_its_metatensor_give_the_same_in_the_files_axes(segmenter, tmp_path):
    volume = np.random.default_rng(2).integers(0, 255, (18, 22, 4)).astype(np.int16)
    affine = np.diag([-0.8, 0.7, 2.5, 1])
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "a.nii.gz")
    result = segmenter(tmp_path / "a.nii.gz")
    assert result.mask.shape == volume.shape
    equal(segmenter(MetaTensor(torch.from_numpy(volume)[None], affine=torch.from_numpy(affine))), result)


def test_settings_are_taken_and_unknown_ones_refused(weights, segmenter, picture):
    one = noise2mask.segment("pgdiffseg", picture, weights=str(weights), samples=1)
    assert one.triage == 0 and one.std.max() == 0 and segmenter(picture).std.max() > 0
    with pytest.raises(ValueError, match=r"no setting sample. Did you mean samples\?"):
        noise2mask.segment("pgdiffseg", picture, weights=str(weights), sample=1)


def test_a_call_with_the_same_settings_keeps_the_network_until_the_weights_are_written_again(
    weights, picture, tmp_path
):
    copy = Path(shutil.copy(weights, tmp_path))
    shutil.copy(weights.with_suffix(".yaml"), tmp_path)
    options = {"weights": str(copy), "samples": 1, "image_size": (16, 16)}
    first = noise2mask.segment("pgdiffseg", picture, **options)
    kept = segmenter_module._kept.copy()
    noise2mask.segment("pgdiffseg", picture, **options)
    assert segmenter_module._kept == kept
    torch.manual_seed(4)
    torch.save(PGDiffSeg(**TINY).state_dict(), copy)
    assert np.abs(noise2mask.segment("pgdiffseg", picture, **options).probability - first.probability).max() > 0.1


def test_slices_as_stored_are_segmented_like_pictures(weights):
    slices = np.random.default_rng(1).integers(0, 255, (20, 31, 2)).astype(np.float32)
    segmenter = noise2mask.Segmenter("pgdiffseg", weights, axcodes=None)
    whole, second = segmenter(slices), segmenter(slices[..., 1])
    np.testing.assert_allclose(whole.probability[..., 1], second.probability, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 4, 4), np.float32), "expected numbers in 2 or 3 axes"),
        (np.zeros((0, 4)), "of shape .0, 4.; expected .* none of length 0"),
        (np.array([["a"]]), "expected numbers"),
        ([[1.0, 2.0]], "The image is a list; expected a path, an array"),
        (None, "The image is a NoneType"),
        (MetaTensor(torch.zeros(1, 0, 8)), "of shape .1, 0, 8."),
        (MetaTensor(torch.zeros(3, 8, 8)), "of one channel"),
        (torch.zeros(1, 8, 8), "is a Tensor of shape"),
        (np.full((8, 8), np.nan), "not finite"),
        (np.zeros((8, 8, 3), np.uint8), "may be a colour picture, or 3 slices.*as floats"),
        ("none.png", "none.png does not exist"),
    ],
)
def test_what_is_no_image_is_refused(segmenter, image, words):
    with pytest.raises(ValueError, match=words):
        segmenter(image)


def test_settings_that_can_not_be_are_refused(weights):
    with pytest.raises(ValueError, match="fusion is 'mode', expected one of"):
        noise2mask.Segmenter("pgdiffseg", weights, fusion="mode")


def test_grey_values_outside_the_window_are_warned_of_and_segmented(segmenter, weights, picture, caplog):
    segmenter(picture)
    noise2mask.Segmenter("pgdiffseg", weights, per_volume=True)(picture / 255.0)
    assert "of its values" not in caplog.text
    segmenter(picture / 255.0)
    assert "The image has 0.0% of its values between 30 and 235" in caplog.text and "intensity_range" in caplog.text


def test_a_window_of_grey_values_over_z_scores_is_refused(coloured_weights):
    with pytest.raises(ValueError, match="intensity_range is 0 to 200, of z-scores"):
        noise2mask.Segmenter("medsegdiff", coloured_weights, z_score=True)


# Several channels


@pytest.fixture(scope="module")
def coloured_weights(tmp_path_factory):
    """Of MedSegDiff for pictures in colour."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("coloured") / "model.pt"
    network = MedSegDiff(in_channels=3, base=4, blocks=(1, 1, 1, 1), decoder_blocks=1, downsamplings=4, grid=4)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn(weight.shape)
    torch.save(network.state_dict(), path)
    network_def = {"in_channels": "@in_channels", "base": 4, "blocks": [1, 1, 1, 1], "decoder_blocks": 1}
    network_def |= {"_target_": "noise2mask.networks.medsegdiff.MedSegDiff", "downsamplings": 4, "grid": 4}
    reader = {"_target_": "noise2mask.data.reader.ColourReader", "phase": "@phase"}
    settings = {"image_size": [32, 32], "in_channels": 3, "reader": reader, "network_def": network_def}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def coloured(coloured_weights):
    return noise2mask.Segmenter("medsegdiff", coloured_weights, samples=2, steps=2)


def test_a_colour_picture_and_its_three_channels_as_files_or_array_give_the_same(coloured, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (20, 31, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    by_path = coloured(tmp_path / "a.png")
    assert by_path.mask.shape == (20, 31) and by_path.probability.std() > 0.1
    equal(by_path, coloured(picture))
    affine = np.diag([2.0, 2, 3, 1])
    volume = np.random.default_rng(1).integers(0, 255, (3, 9, 8, 2)).astype(np.int16)
    for c, channel in enumerate(volume):
        nib.save(nib.Nifti1Image(channel, affine), tmp_path / f"{c}.nii.gz")
    by_paths = coloured([tmp_path / f"{c}.nii.gz" for c in range(3)])
    equal(by_paths, coloured(MetaTensor(torch.from_numpy(volume.astype(np.float32)), affine=torch.from_numpy(affine))))


def test_another_number_of_channels_is_refused(coloured, tmp_path):
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "g.png")
    with pytest.raises(ValueError, match=r"g\.png has 6 channels, of 2 files; expected 3"):
        coloured([tmp_path / "g.png", tmp_path / "g.png"])
    with pytest.raises(ValueError, match=r"\(9, 9, 4\) has 4 channels, expected 3"):
        coloured(np.zeros((9, 9, 4), np.uint8))
    with pytest.raises(ValueError, match="2 or 3 axes and a last one for 3 channels"):
        coloured(np.zeros((9, 9), np.uint8))


# Networks of three dimensions


def test_a_picture_for_a_network_of_volumes_is_refused_by_name(picture, tmp_path):
    tiny = {"base": 8, "multipliers": [1, 2], "blocks": 1, "num_groups": 4, "former_blocks": 1, "heads": 2}
    torch.save(MedSegDiffV2(1, 3, spatial_dims=3, exclusive=True, **tiny).state_dict(), tmp_path / "model.pt")
    network = {f"network_def::{name}": value for name, value in tiny.items()}
    own = noise2mask.Segmenter("medsegdiff_v2", tmp_path / "model.pt", spatial_dims=3, **network)
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is a picture; expected a volume"):
        own(tmp_path / "a.png")


# Several structures


@pytest.mark.parametrize("exclusive", [True, False])
def test_several_structures_are_numbered_and_have_a_probability_each(exclusive, picture, tmp_path):
    torch.manual_seed(0)
    tiny = {"base": 8, "multipliers": [1, 2], "blocks": 1, "num_groups": 4, "former_blocks": 1, "heads": 2}
    own = MedSegDiffV2(1, 2 + exclusive, exclusive=exclusive, **tiny)
    for model in (own.condition, own.diffusion):
        torch.nn.init.normal_(model.decoder.output[-1].weight)  # it begins at zero
    torch.save(own.state_dict(), tmp_path / "model.pt")
    network = {"_target_": "noise2mask.networks.medsegdiff_v2.MedSegDiffV2", **tiny, "exclusive": "@exclusive"}
    network |= {"in_channels": "@network_channels", "out_channels": "@out_channels"}
    settings = {"structures": {"outer": [1, 2], "inner": [2]} if not exclusive else {"outer": [1], "inner": [2]}}
    settings |= {"exclusive": exclusive, "image_size": [16, 16], "network_def": network}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    result = noise2mask.Segmenter("medsegdiff_v2", tmp_path / "model.pt", steps=2, samples=2)(picture)
    assert result.mask.shape == result.std.shape == picture.shape and result.probability.shape == (2, *picture.shape)
    outer, inner = result.probability
    if exclusive:
        all_three = np.stack([1 - outer - inner, outer, inner])
        clear = np.diff(np.sort(all_three, axis=0)[1:], axis=0)[0] > 1e-3  # what no class claims is of all alike
        assert (result.mask == all_three.argmax(axis=0))[clear].all() and clear.any()
    else:
        np.testing.assert_array_equal(result.mask, np.where(inner > 0.5, 2, outer > 0.5))
    assert len(np.unique(result.mask)) > 1
