"""Maps come back to the size and the axes of the file."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from PIL import Image

from noise2mask.data.reader import GreyReader
from noise2mask.transforms.own_size import OwnSize
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.slice_orientation import SliceOrientationd


def read(size):
    """A preprocessing that reads and resizes an image."""
    load = [LoadImaged("image", reader=GreyReader()), EnsureChannelFirstd("image"), SliceOrientationd("image")]
    return Compose([*load, ResizeSlicesd("image", size)])


@pytest.fixture
def picture(tmp_path):
    """A path, and (16, 24): rows, columns, with a bright box."""
    values = np.zeros((16, 24), np.uint8)
    values[4:8, 6:12] = 255
    Image.fromarray(values).save(tmp_path / "p.png")
    return str(tmp_path / "p.png"), torch.from_numpy(values)


def test_a_map_of_a_picture_gets_its_size(picture):
    path, values = picture
    preprocessing = read((8, 12))
    item = preprocessing({"image": path})
    back = OwnSize(preprocessing)(item, item["image"] / 255)
    assert back.shape == (1, 24, 16), "MONAI's axes: columns first"
    assert ((back[0] > 0.5) == (values.T > 0)).float().mean() > 0.98


def test_several_maps_come_back_together(picture):
    preprocessing = read((16, 24))
    item = preprocessing({"image": picture[0]})
    both = OwnSize(preprocessing)(item, torch.stack([item["image"][0], -item["image"][0]]))
    assert both.shape == (2, 24, 16) and torch.allclose(both[0], -both[1], atol=1e-6)


def test_a_map_of_a_volume_gets_its_axes(tmp_path):
    values = np.zeros((10, 12, 5), np.uint8)
    values[2:6, 3:9, 1] = 200
    oblique = np.array([[0, 2, 0.1, 5], [-1, 0, 0.2, 3], [0, 0.1, 3, -4], [0, 0, 0, 1]], float)
    nib.save(nib.Nifti1Image(values, oblique), tmp_path / "v.nii.gz")
    preprocessing = read((16, 24))
    item = preprocessing({"image": str(tmp_path / "v.nii.gz")})
    back = OwnSize(preprocessing)(item, item["image"])
    assert back.shape == (1, *values.shape)
    assert back.amax(dim=(0, 1, 2)).argmax() == 1, "the slice with the mark"
    assert ((back[0, ..., 1] > 100).numpy() == (values[..., 1] > 100)).mean() > 0.9
