"""Augmentation depends on seed, epoch and index alone."""

import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, Lambdad, RandFlipd, RandGaussianNoised, RandRotate90d

from noise2mask.data.slice_dataset import SliceDataset

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
