"""Slices of pictures and volumes; augmentation depends on seed, epoch and index alone."""

import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, Lambdad, RandFlipd, RandGaussianNoised, RandRotate90d

from noise2mask.data.slice_dataset import SliceDataset, packed
from noise2mask.meta import SOURCE

ITEMS = [{"image": torch.arange(4.0).reshape(1, 2, 2) + n} for n in range(5)]
RANDOM = [
    RandFlipd("image", prob=0.5),
    Compose([RandRotate90d("image", prob=0.5)]),
    RandGaussianNoised("image", prob=1.0),
]


def dataset(seed=0, epoch=1, transform=None, **options):
    data = SliceDataset(ITEMS, transform or Compose(RANDOM), seed=seed, **options)
    data.set_epoch(epoch)
    return data


def images(data):
    return torch.stack([data[index]["image"] for index in range(len(data))])


def loaded(data, workers):
    return torch.cat([batch["image"] for batch in DataLoader(data, batch_size=2, num_workers=workers)])


def test_items_are_the_same_with_and_without_workers():
    assert torch.equal(loaded(dataset(), 0), loaded(dataset(), 2))
    assert torch.equal(loaded(dataset(), 0), images(dataset()))


def test_workers_see_the_epoch_that_was_set_before_they_start():
    data = dataset()
    loader = DataLoader(data, batch_size=5, num_workers=1)
    first = next(iter(loader))["image"]
    data.set_epoch(2)
    second = next(iter(loader))["image"]
    assert torch.equal(second, images(dataset(epoch=2))) and not torch.equal(first, second)


def test_epochs_seeds_and_items_differ():
    noise = images(dataset()) - images(dataset(epoch=2))
    assert noise.abs().amin(dim=(1, 2, 3)).min() > 0
    assert not torch.equal(images(dataset()), images(dataset(seed=1)))
    assert not torch.equal(dataset()[0]["image"] + 1, dataset()[1]["image"])


def test_the_order_of_access_does_not_matter():
    data = dataset()
    backwards = torch.stack([data[index]["image"] for index in range(4, -1, -1)]).flip(0)
    assert torch.equal(backwards, images(data))
    assert torch.equal(data[-1]["image"], data[4]["image"])


def test_other_random_numbers_do_not_matter():
    expected = images(dataset())
    torch.manual_seed(3)
    torch.rand(7)
    assert torch.equal(images(dataset()), expected)


def test_what_comes_before_the_first_random_transform_runs_once():
    calls = []
    count = Lambdad("image", lambda image: calls.append(1) or image)
    data = dataset(transform=Compose([count, *RANDOM]), num_workers=1)
    images(data), images(data)
    assert len(calls) == 5


def test_the_cached_items_are_not_changed_by_the_augmentation():
    data = dataset()
    first = images(data)
    data.set_epoch(2)
    images(data)
    data.set_epoch(1)
    assert torch.equal(images(data), first)


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="data set is empty"):
        SliceDataset([], Compose(RANDOM))


# Volumes

VOLUMES = [
    {
        "image": torch.arange(24.0).reshape(1, 2, 4, 3),
        "label": torch.arange(24.0).reshape(1, 2, 4, 3) + 100,
        "patient": "a",
    },
    {"image": torch.zeros(1, 2, 4), "label": torch.ones(1, 2, 4), "patient": "b"},
    {"image": torch.ones(1, 2, 4, 2), "label": torch.ones(1, 2, 4, 2), "patient": "c"},
]
NOTHING = Compose([Lambdad("image", lambda image: image)])


def test_a_volume_is_its_slices_and_a_picture_is_one():
    data = SliceDataset(VOLUMES, NOTHING)
    assert len(data) == 3 + 1 + 2
    assert [data[i]["patient"] for i in range(6)] == ["a", "a", "a", "b", "c", "c"]
    for k in range(3):
        assert torch.equal(data[k]["image"], VOLUMES[0]["image"][..., k])
        assert torch.equal(data[k]["label"], data[k]["image"] + 100)


def test_going_through_the_data_set_ends():
    assert len([item["patient"] for item in SliceDataset(VOLUMES, NOTHING)]) == 6
    with pytest.raises(IndexError):
        SliceDataset(VOLUMES, NOTHING)[6]


def test_slices_of_a_volume_are_augmented_each_in_its_own_way():
    data = SliceDataset(VOLUMES[2:], Compose([RandGaussianNoised("image", prob=1.0)]))
    assert not torch.equal(data[0]["image"], data[1]["image"])
    assert torch.equal(data[0]["image"], data[0]["image"])


def test_volumes_are_prepared_once_and_whole():
    shapes = []
    note = Lambdad("image", lambda image: shapes.append(tuple(image.shape)) or image)
    data = SliceDataset(VOLUMES, Compose([note, RandFlipd("image", prob=0.5)]), num_workers=1)
    [data[i] for i in range(6)], [data[i] for i in range(6)]
    assert shapes == [(1, 2, 4, 3), (1, 2, 4), (1, 2, 4, 2)]


def test_image_and_mask_of_different_depth_are_refused():
    with pytest.raises(ValueError, match=r"tensors of \[2, 3\] slices"):
        SliceDataset([{"image": torch.zeros(1, 2, 2, 3), "label": torch.zeros(1, 2, 2, 2)}], NOTHING)


@pytest.mark.parametrize("transform", [NOTHING, Compose([RandFlipd(["image", "label"], prob=0.5)])])
@pytest.mark.parametrize("slices", [True, False])
def test_masks_are_kept_as_bytes_and_handed_out_as_the_floats_that_they_were(transform, slices, monkeypatch):
    data = SliceDataset(VOLUMES, transform, slices=slices)
    assert all(item["label"].dtype == torch.uint8 and item["image"].dtype == torch.float32 for item in data._cache)
    monkeypatch.setattr("noise2mask.data.slice_dataset.packed", dict)
    expected = SliceDataset(VOLUMES, transform, slices=slices)
    for own, other in zip(data, expected, strict=True):
        assert own["label"].dtype == torch.float32 and type(own["label"]) is type(other["label"])
        assert torch.equal(own["label"], other["label"]) and torch.equal(own["image"], other["image"])


def test_a_mask_that_bytes_can_not_hold_is_kept_as_it_is():
    for value in (0.5, 256.0, -1.0):
        item = {"label": torch.tensor([[[0.0, value]]])}
        assert torch.equal(packed(item)["label"], item["label"]) and packed(item)["label"].dtype == torch.float32


def test_volumes_come_whole_to_a_network_of_three_dimensions():
    data = SliceDataset(VOLUMES, Compose([RandGaussianNoised("image", prob=1.0)]), slices=False)
    assert [tuple(item["image"].shape) for item in data] == [(1, 2, 4, 3), (1, 2, 4), (1, 2, 4, 2)]
    first = data[0]["image"]
    data.set_epoch(2)
    assert not torch.equal(data[0]["image"], first) and torch.equal(data[0]["label"], VOLUMES[0]["label"])
    data.set_epoch(0)
    assert torch.equal(data[0]["image"], first)


def test_several_draws_of_one_item_differ_and_each_is_the_same_again():
    data = dataset()
    first, second = (data.drawn(2, number)["image"] for number in (0, 1))
    assert not torch.equal(first, second) and torch.equal(data.drawn(2, 1)["image"], second)
    assert torch.equal(data.drawn(2)["image"], data[2]["image"])
    assert torch.equal(data.drawn(-3, 1)["image"], second)
    with pytest.raises(IndexError, match="item 5 of 5"):
        data.drawn(5, 1)


def test_an_augmented_item_knows_its_file_and_its_slice():
    volumes = {"a.nii": torch.zeros(1, 2, 2, 2), "b.png": torch.zeros(1, 2, 2)}
    load = Lambdad("image", lambda path: volumes[path].clone())
    data = SliceDataset([{"image": name} for name in volumes], Compose([load, *RANDOM[:1]]))
    assert [item[SOURCE] for item in data] == ["a.nii (slice 0)", "a.nii (slice 1)", "b.png"]
