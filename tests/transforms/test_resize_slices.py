"""Resizing of rows and columns."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.transforms.resize_slices import ResizeSlicesd


def data(*size):
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    return {"image": MetaTensor(image), "label": MetaTensor((image > 0.5).float())}


def resize(size=(4, 6), mode=("bilinear", "nearest"), **options):
    return ResizeSlicesd(["image", "label"], size, mode, **options)


@pytest.mark.parametrize("size", [(10, 9), (10, 9, 3), (3, 20), (2, 2, 5)])
def test_rows_and_columns_change_and_slices_stay(size):
    out = resize()(data(*size))
    assert out["image"].shape == out["label"].shape == (1, 4, 6, *size[2:])
    assert set(out["label"].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("size", [(10, 9), (10, 9, 3), (3, 20), (2, 2, 5)])
def test_the_inverse_has_the_size_and_affine_of_before(size):
    transform, before = resize(), data(*size)
    back = transform.inverse(transform(before))
    for key in ("image", "label"):
        assert back[key].shape == (1, *size) and not back[key].applied_operations
        assert torch.allclose(back[key].affine, before[key].affine)


@pytest.mark.parametrize("target", [(4, 6), (20, 16)])
def test_a_volume_is_resized_slice_by_slice(target):
    volume = data(10, 9, 3)
    whole = resize(target)(volume)
    for d in range(3):
        alone = resize(target)({key: MetaTensor(value[..., d]) for key, value in volume.items()})
        for key in ("image", "label"):
            assert torch.allclose(whole[key][..., d].as_tensor(), alone[key].as_tensor(), atol=1e-6)


def test_an_unchanged_size_changes_nothing():
    before = data(4, 6)
    assert torch.allclose(resize()(before)["image"], before["image"], atol=1e-6)


def test_speckle_is_smoothed_before_it_is_made_smaller():
    speckle = MetaTensor((torch.arange(32)[:, None] + torch.arange(32)).remainder(2)[None].float())
    out = ResizeSlicesd("image", (5, 5))({"image": speckle})["image"]
    assert (out - 0.5).abs().max() < 0.01


def test_a_constant_image_stays_constant_up_to_its_border():
    constant = MetaTensor(torch.ones(1, 500, 300))
    assert torch.allclose(
        ResizeSlicesd("image", (64, 64))({"image": constant})["image"], torch.ones(1, 64, 64), atol=1e-5
    )


@pytest.mark.parametrize("own", [(124, 124), (100, 116), (112, 108, 2), (1, 120)])
@pytest.mark.parametrize("value", [1.0, 0.5, 0.3])
def test_rounding_never_leads_outside_the_values_that_are_there(own, value):
    transform = ResizeSlicesd("image", (128, 128))
    there = transform({"image": MetaTensor(torch.full((1, *own), value))})
    back = transform.inverse(there)
    assert (there["image"] == value).all() and (back["image"] == value).all()


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="cubic.*bilinear"):
        resize(mode="cubic")


def test_labels_may_be_missing_where_that_is_allowed():
    only = {"image": data(10, 9)["image"]}
    assert resize(allow_missing_keys=True)(only)["image"].shape == (1, 4, 6)
    with pytest.raises(KeyError):
        resize()(only)


def test_one_mode_serves_all_keys_and_a_wrong_number_is_refused():
    assert set(resize(mode="nearest")(data(10, 9))["label"].unique().tolist()) <= {0.0, 1.0}
    with pytest.raises(ValueError):
        resize(mode=["bilinear"])
