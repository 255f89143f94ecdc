"""Crops around the optic disc, and their way back."""

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from noise2mask.transforms.crop_disc import CropDiscd, field_of_view, label_centre, thumbnail
from noise2mask.transforms.own_size import OwnSize
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.slice_orientation import SliceOrientationd


def round_area(size, centre, width):
    rows, columns = (torch.arange(length) + 0.5 for length in size)
    return (rows[:, None] - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= (width / 2) ** 2


def fundus(centre=(60, 95), size=(120, 140), channels=3, width=28, crescent=False):
    """A round field with a bright disc, its cup in the label; a crescent at the rim may be brighter still."""
    middle = (size[0] / 2, size[1] / 2)
    field = round_area(size, middle, size[1])
    disc, cup = round_area(size, centre, width), round_area(size, centre, width / 2)
    grey = 90.0 * field + 70 * disc + 20 * cup
    if crescent:
        grey = torch.where(field & ~round_area(size, (middle[0], middle[1] + 15), size[1]), 255.0, grey)
    image = torch.stack([grey / (channel + 1) for channel in range(channels)])
    label = (disc.float() + cup)[None]
    meta = {"filename_or_obj": "eye.png"}
    return {"image": MetaTensor(image, meta=dict(meta)), "label": MetaTensor(label, meta=dict(meta))}


def window(crop):
    """Row and column of the centre, and side."""
    done = crop.applied_operations[-1]["extra_info"]["corner"]
    return done[0] + crop.shape[1] / 2, done[1] + crop.shape[2] / 2, crop.shape[1]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(120, 140), (121, 139), (330, 384)])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.5, 0.72), (0.4, 0.3), (0.65, 0.45)])
def test_the_disc_is_found_in_the_picture_alone(channels, size, place):
    centre = (place[0] * size[0], place[1] * size[1])
    data = fundus(centre, size, channels, width=size[1] / 5)
    del data["label"]
    row, column, side = window(CropDiscd("image")(data)["image"])
    assert side == round(0.4 * size[1])
    assert abs(row - centre[0]) < 0.04 * size[1] and abs(column - centre[1]) < 0.04 * size[1]


def test_a_brighter_crescent_at_the_rim_of_the_field_is_no_disc():
    row, column, _ = window(CropDiscd("image")(fundus(crescent=True))["image"])
    assert abs(row - 60) < 4 and abs(column - 95) < 4


def test_what_the_field_does_not_show_does_not_matter():
    data = fundus()
    wide = torch.nn.functional.pad(data["image"], (30, 70, 20, 10))
    row, column, side = window(CropDiscd("image")({"image": wide})["image"])
    assert side == round(0.4 * 140), "a part of the field, not of the picture"
    assert abs(row - 80) < 5 and abs(column - 125) < 5


def test_brighter_or_darker_pictures_have_the_same_window():
    image = fundus((56.7, 94.2))["image"]  # off the grid: no two pixels are equally good
    windows = {window(CropDiscd("image")({"image": image * gain})["image"]) for gain in (1 / 255, 1, 200)}
    assert len(windows) == 1


def test_in_training_the_centre_is_that_of_the_labels_box():
    data = fundus()
    data["label"] = MetaTensor(torch.zeros(1, 120, 140))
    data["label"][0, 40:60, 50:81] = 1  # rows 40 .. 59, columns 50 .. 80
    data["label"][0, 42, 77] = 2
    assert label_centre(data["label"]) == (50, 65.5)
    inverted = torch.where(data["label"] > 0, 128, 255)  # REFUGE-2
    assert label_centre(inverted, (0, 128)) == (50, 65.5)
    out = CropDiscd(["image", "label"], "label")(data)
    assert window(out["image"]) == window(out["label"]) == (50, 66, 56)
    assert (out["label"] > 0).sum() == (data["label"] > 0).sum()


@pytest.mark.parametrize("find", ["label", "image"])
def test_image_and_label_get_the_same_window(find):
    data = fundus()
    data["label"] = MetaTensor(data["image"][:1] * 2)
    out = CropDiscd(["image", "label"], find)(data)
    assert out["image"].shape == (3, 56, 56) and torch.equal(out["label"], out["image"][:1] * 2)
    assert data["image"].shape == (3, 120, 140) and not data["image"].applied_operations, "the whole stays as it was"


@pytest.mark.parametrize("centre", [(0, 0), (3, 139), (119, 70), (119, 139)])
@pytest.mark.parametrize("size", [0.3, 0.4, 1.0])
def test_the_window_never_leaves_the_picture(centre, size):
    data = fundus(centre)
    crop = CropDiscd(["image"], "label", size)(data)["image"]
    row, column, side = window(crop)
    assert crop.shape == (3, side, side) and side == min(round(size * 140), 120)
    assert side / 2 <= row <= 120 - side / 2 and side / 2 <= column <= 140 - side / 2


@pytest.mark.parametrize("size", [(120, 140), (121, 139), (33, 41)])
def test_the_inverse_puts_the_crop_back_exactly_and_zero_around_it(size):
    data = fundus((size[0] * 0.4, size[1] * 0.6), size, width=size[1] / 5)
    crop = CropDiscd(["image", "label"], "image")
    there = crop(data)
    (row, column, side), inside = window(there["image"]), torch.zeros(size, dtype=torch.bool)
    back = crop.inverse(there)
    inside[int(row - side / 2) : int(row + side / 2), int(column - side / 2) : int(column + side / 2)] = True
    for key in data:
        assert torch.equal(back[key], data[key] * inside) and not back[key].applied_operations
        assert back[key].meta["filename_or_obj"] == "eye.png"


@pytest.fixture
def preprocessing():
    steps = [SliceOrientationd("image"), CropDiscd("image"), ResizeSlicesd("image", (32, 32))]
    return Compose(steps)


def test_maps_of_the_crop_get_the_pictures_size_and_place(preprocessing):
    data = fundus()
    item = preprocessing({"image": data["image"].transpose(1, 2)})  # columns first, as MONAI reads pictures
    maps = torch.stack([torch.ones(32, 32), torch.full((32, 32), 0.3)])
    back = OwnSize(preprocessing)(item, maps)
    assert back.shape == (2, 140, 120) and set(back[0].unique().tolist()) == {0.0, 1.0}
    assert back[0].sum() == 56 * 56 and torch.equal(back[1], back[0] * 0.3)
    assert back[0].T[data["label"][0] > 0].all()


def test_invertd_brings_predictions_back(preprocessing):
    item = preprocessing({"image": fundus()["image"].transpose(1, 2)})
    item["pred"] = MetaTensor(torch.ones(1, 32, 32))
    back = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert back.shape == (1, 140, 120) and back.sum() == 56 * 56


def test_a_crop_does_not_keep_the_whole_picture_in_memory():
    crop = CropDiscd("image")(fundus())["image"]
    assert crop.untyped_storage().nbytes() == crop.numel() * crop.element_size()


def test_dark_vessels_are_in_the_field_of_view():
    image = fundus(size=(300, 384))["image"]
    image[:, 145:155, 60:330] = 0
    field = field_of_view(thumbnail(image))
    assert field.shape == (100, 128) and field[50].all()


def test_a_label_without_a_disc_is_named():
    data = fundus()
    data["label"] = MetaTensor(torch.zeros(1, 120, 140), meta={"filename_or_obj": "eye_mask.png"})
    with pytest.raises(ValueError, match=r"eye_mask\.png has no optic disc"):
        CropDiscd(["image", "label"], "label")(data)


@pytest.mark.parametrize("find", ["label", "image"])
def test_a_constant_picture_is_named(find):
    data = fundus()
    data["image"][:] = 7
    with pytest.raises(ValueError, match=r"eye\.png has the same value everywhere"):
        CropDiscd(["image", "label"], find)(data)


def test_a_field_without_a_bright_region_is_named():
    image = fundus()["image"]
    with pytest.raises(ValueError, match=r"eye\.png has no region brighter"):
        CropDiscd("image")({"image": MetaTensor((image > 0).float(), meta=image.meta)})


def test_a_volume_is_refused():
    volume = MetaTensor(torch.rand(1, 20, 20, 4), meta={"filename_or_obj": "scan.nii.gz"})
    with pytest.raises(ValueError, match=r"scan\.nii\.gz has 3 spatial axes, expected 2"):
        CropDiscd("image")({"image": volume})


@pytest.mark.parametrize("wrong", [{"find": "mask"}, {"size": 0}, {"size": 1.5}])
def test_other_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        CropDiscd("image", **wrong)
