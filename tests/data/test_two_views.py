"""Two views of an image differ, are of that image, and are the same for the same epoch."""

import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd, RandScaleIntensityd, RandShiftIntensityd, RandSpatialCropd

from noise2mask.data.two_views import TwoViews
from noise2mask.transforms.resize_slices import ResizeSlicesd

ITEMS = [{"image": torch.rand(3, 8, 8) + 10 * n, "patient": "p"} for n in range(4)]
CROP = {"roi_size": (5, 5), "max_roi_size": (8, 8), "random_size": True}
RANDOM = [
    ResizeSlicesd("image", (8, 8)),
    RandSpatialCropd("image", **CROP),
    ResizeSlicesd("image", (8, 8)),
    RandFlipd("image", prob=0.5, spatial_axis=1),
    RandScaleIntensityd("image", factors=0.01, prob=0.8, channel_wise=True),
    RandShiftIntensityd("image", offsets=0.1, prob=1.0),
]


def views(epoch=1, seed=0, workers=0):
    data = TwoViews(ITEMS, Compose(RANDOM), seed=seed)
    data.set_epoch(epoch)
    batch = next(iter(DataLoader(data, batch_size=4, num_workers=workers)))
    assert set(batch) == {"image", "view"}
    return batch["image"], batch["view"]


def test_views_have_the_size_asked_for_differ_and_are_of_the_same_image():
    first, second = views()
    assert first.shape == second.shape == (4, 3, 8, 8)
    assert ((first - second).abs().flatten(1).amax(1) > 1e-3).all()
    assert (first.mean((1, 2, 3)) - second.mean((1, 2, 3))).abs().max() < 2


def test_they_are_the_same_for_the_same_epoch_with_workers_too_and_change_with_epoch_and_seed():
    expected = views()
    for again in (views(), views(workers=1)):
        assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))
    for other in (views(epoch=2), views(seed=1)):
        assert not any(torch.equal(a, b) for a, b in zip(expected, other, strict=True))
