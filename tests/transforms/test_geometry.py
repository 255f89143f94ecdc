"""Where pixels lie after a transform: a label that is resampled to a changed image lies on what it labels."""

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, ResampleToMatch

from noise2mask.transforms.crop_disc import CropDiscd
from noise2mask.transforms.geometry import moved
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.slice_orientation import SliceOrientationd

AFFINE = torch.tensor([[0.0, -0.5, 0, 3], [2, 0, 0, -7], [0, 0, 4, 1], [0, 0, 0, 1]], dtype=torch.float64)


def photograph():
    """(1, 110, 100): a round field of view with a bright disc, dark outside."""
    rows, columns = torch.meshgrid(torch.arange(110), torch.arange(100), indexing="ij")

    def round_area(row, column, width):
        return ((rows - row) ** 2 + (columns - column) ** 2 <= (width / 2) ** 2).float()

    return (0.4 * round_area(55, 50, 98) + 0.6 * round_area(50, 62, 20))[None]


@pytest.mark.parametrize("crop", [False, True])
def test_a_label_resampled_to_the_image_is_the_label_that_went_the_same_way(crop):
    image = MetaTensor(photograph(), affine=AFFINE)
    label = MetaTensor((photograph() > 0.7).float(), affine=AFFINE)
    keys = ["image", "label"]
    steps = [SliceOrientationd(keys), *([CropDiscd(keys)] if crop else [])]
    way = Compose([*steps, ResizeSlicesd(keys, (32, 48), ["bilinear", "nearest"])])
    gone = way({"image": image, "label": label})
    matched = ResampleToMatch(mode="nearest", padding_mode="zeros")(label, gone["image"])
    assert gone["label"].sum() > 20
    assert (matched != gone["label"]).float().mean() < 0.01  # nearest pixels at a half may round either way


def test_the_way_back_ends_at_the_very_place_it_began():
    way = Compose([SliceOrientationd("image"), CropDiscd("image"), ResizeSlicesd("image", (16, 16))])
    gone = way({"image": MetaTensor(photograph(), affine=AFFINE)})
    assert not torch.equal(gone["image"].affine, AFFINE)
    assert torch.equal(way.inverse(gone)["image"].affine, AFFINE)


def test_a_volume_of_stored_slices_keeps_its_third_axis():
    way = Compose([SliceOrientationd("image", axcodes=None), ResizeSlicesd("image", (4, 4))])
    gone = way({"image": MetaTensor(torch.rand(1, 8, 12, 5), affine=AFFINE)})["image"]
    assert torch.allclose(gone.affine[:, 2], AFFINE[:, 2])
    corner = torch.tensor([-0.5, -0.5, 0, 1], dtype=torch.float64)  # of the first pixel: resizing does not move it
    assert torch.allclose(gone.affine @ corner, AFFINE @ corner)


def test_a_tensor_without_a_place_is_left_alone():
    moved(torch.zeros(1, 2, 2), [[1, 0], [0, 1]], [3, 4])
