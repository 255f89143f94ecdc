"""Images get worse by the amount that was asked for, whatever their kind, and nothing else of them changes."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from noise2mask.transforms.corruption import CORRUPTIONS, KEPT, Corruptd, check_severity, corrupting, window
from noise2mask.transforms.slice_orientation import SliceOrientationd

SHAPES = {"grey": (1, 12, 20), "colour": (3, 12, 20), "volume": (1, 12, 20, 4)}  # in the axes of a file


def image(shape, seed=0):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 200 + 20
    return MetaTensor(values, affine=torch.eye(4), meta={"filename_or_obj": "a.png"})


def worse(data, corruption, severity):
    return corrupting(Compose([SliceOrientationd("image")]), corruption, severity)({"image": data})


def plain(data, corruption, severity):
    return worse(data, corruption, severity)["image"].as_tensor()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_mildest_severity_changes_nothing_and_others_keep_shape_place_and_range(corruption, shape):
    given = image(shape)
    clean = SliceOrientationd("image")({"image": given})["image"]
    assert torch.equal(plain(given, corruption, CORRUPTIONS[corruption].unchanged), clean.as_tensor())
    found = worse(given, corruption, 0.3)["image"]
    assert found.shape == clean.shape and not torch.equal(found.as_tensor(), clean.as_tensor())
    assert torch.equal(found.affine, clean.affine) and found.meta["filename_or_obj"] == "a.png"
    assert given.min() <= found.min() and found.max() <= given.max() and torch.equal(image(shape), given)


def test_noise_has_the_deviation_that_was_asked_for_in_parts_of_each_channel_s_range():
    flat = torch.full((2, 200, 200), 50.0)
    flat[:, 0, 0], flat[0, 0, 1], flat[1, 0, 1] = 0, 100, 1000
    added = plain(MetaTensor(flat), "noise", 0.1) - flat.transpose(1, 2)
    assert added[0].std().item() == pytest.approx(10, rel=0.02) and abs(added[0].mean()) < 0.2
    assert added[1].min().item() >= -50 and added[1].max().item() > 250  # 50 is the lowest twentieth of its range


def test_noise_is_that_of_the_image_itself_and_grows_with_the_severity():
    one, other = image(SHAPES["grey"]), image(SHAPES["grey"], seed=1)
    first = plain(one, "noise", 0.01)
    plain(other, "noise", 0.01), torch.rand(9)
    assert torch.equal(plain(one, "noise", 0.01), first)
    clean, inner = one.as_tensor().transpose(1, 2), slice(0, 5)
    twice = plain(one, "noise", 0.02) - clean
    bounded = (twice + clean <= clean.min()) | (twice + clean >= clean.max())
    assert torch.allclose((2 * (first - clean))[~bounded], twice[~bounded], atol=1e-4) and not bounded[:, inner].all()


def test_blur_spreads_a_point_by_its_part_of_the_shorter_side_in_each_slice_alone():
    point = torch.zeros(1, 61, 41, 3)
    point[:, 30, 20, 1] = 1
    spread = plain(MetaTensor(point, affine=torch.eye(4)), "blur", 2 / 41)[0]  # two pixels
    assert spread[..., (0, 2)].abs().max() == 0 and spread.sum().item() == pytest.approx(1, abs=1e-4)
    for axis in (0, 1):
        along = spread[..., 1].sum(1 - axis)
        squares = (torch.arange(len(along)) - len(along) // 2) ** 2
        assert (along * squares).sum().item() == pytest.approx(4, rel=0.02)


def test_contrast_multiplies_the_distances_from_the_channel_s_mean():
    given = image(SHAPES["colour"])
    clean = given.as_tensor().transpose(1, 2)
    mean = clean.mean((1, 2), keepdim=True)
    assert torch.allclose(plain(given, "contrast", 0.25), mean + 0.25 * (clean - mean), atol=1e-4)


def test_a_crop_keeps_the_centre_and_blacks_out_what_is_around_it():
    given = image(SHAPES["colour"])
    found, clean = plain(given, "crop", 0.5), given.as_tensor().transpose(1, 2)  # (3, 20, 12)
    assert torch.equal(found[:, 5:15, 3:9], clean[:, 5:15, 3:9])
    outside = found.clone()
    outside[:, 5:15, 3:9] = clean.amin((1, 2), keepdim=True)
    assert torch.equal(outside, clean.amin((1, 2), keepdim=True).expand_as(clean))
    assert window(clean, 0.001).sum() == 1


@pytest.mark.parametrize("axcodes", ["PLS", "SRA", None])
def test_where_a_crop_is_kept_is_told_in_the_axes_of_the_file(axcodes):
    orientation = SliceOrientationd("image", axcodes=axcodes)
    given = image((1, 8, 12, 16))
    item = orientation({"image": given})
    found = Corruptd("image", "crop", 0.5, orientation)(item)
    marked = item["image"].clone()
    marked[...] = window(marked, 0.5)
    assert torch.equal(found[KEPT], orientation.transform.inverse(marked).as_tensor()[0] > 0)
    assert orientation.inverse(found)["image"].shape == given.shape  # its history is its own
    sides = [np.unique(part).size for part in found[KEPT].nonzero(as_tuple=True)]
    assert sorted(own / whole for own, whole in zip(sides, given.shape[1:], strict=True)) == [0.5, 0.5, 1.0]


@pytest.mark.parametrize(
    ("corruption", "severity", "said"),
    [
        ("noise", -0.1, r"A severity of noise is -0.1, expected a number from 0 up \(standard deviation"),
        ("blur", float("nan"), "A severity of blur is nan, expected a number from 0 up"),
        ("contrast", 0, "A severity of contrast is 0, expected a number above 0"),
        ("crop", 1.5, "A severity of crop is 1.5, expected a number above 0 up to 1"),
        ("crop", "5e-1", "A severity of crop is '5e-1', expected a number"),
        ("fog", 1, "A corruption is 'fog', expected one of noise, blur, contrast, crop"),
    ],
)
def test_a_severity_that_is_none_is_refused_with_what_was_expected(corruption, severity, said):
    with pytest.raises(ValueError, match=said):
        check_severity(corruption, severity)


def test_transforms_that_turn_nothing_are_refused():
    with pytest.raises(ValueError, match="has no SliceOrientationd"):
        corrupting(Compose([]), "noise", 0.1)
