"""Volumes get as many slices as they shall have by repeating the last."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.transforms.pad_slices import PadSlicesd

VOLUME = torch.tensor([[[[1.0, 2, 3]]], [[[0.0, 1, 0]]]])  # two channels, one pixel, three slices


def padded(slices, volume=VOLUME):
    return PadSlicesd(["image", "label"], slices)({"image": volume, "label": -volume})


def test_the_last_slice_is_repeated_in_image_and_mask():
    found = padded(5)
    assert found["image"][:, 0, 0].tolist() == [[1, 2, 3, 3, 3], [0, 1, 0, 0, 0]]
    assert torch.equal(found["label"], -found["image"])


def test_a_volume_of_that_many_slices_stays_as_it_is():
    assert torch.equal(padded(3)["image"], VOLUME)


def test_the_geometry_is_kept():
    volume = MetaTensor(VOLUME, affine=torch.diag(torch.tensor([1.0, 2, 3, 1])))
    assert torch.equal(padded(4, volume)["image"].affine, volume.affine)


def test_a_volume_of_more_slices_is_refused_by_name():
    volume = MetaTensor(VOLUME, meta={"filename_or_obj": "long.nii.gz"})
    with pytest.raises(ValueError, match=r"long.nii.gz has 3 slices, expected 2 at most: set slices to 3 or more"):
        padded(2, volume)
