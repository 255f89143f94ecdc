"""Maps come back to the size and the axes of the file."""

import torch
from monai.transforms import Compose

from noise2mask.studies.own_size import OwnSize
from noise2mask.transforms.resize_slices import ResizeSlicesd


def test_a_map_of_a_picture_gets_its_size(toy, read):
    dataset, _ = toy
    smaller = Compose([*read[:-1], ResizeSlicesd("image", (8, 8))])
    item, source = smaller({"image": dataset.data[1]["image"]}), dataset[1]
    bright = OwnSize(smaller)(item, (item["image"] + 1) / 2)
    assert bright.shape == (1, 24, 16), "MONAI's axes: columns first"
    assert ((bright > 0.5) == source["label"].as_tensor().bool()).float().mean() > 0.98


def test_several_maps_come_back_together(toy):
    dataset, preprocessing = toy
    item = dataset[2]
    maps = torch.stack([item["image"][0], -item["image"][0]])
    both = OwnSize(preprocessing)(item, maps)
    assert both.shape == (2, 24, 16) and torch.allclose(both[0], -both[1], atol=1e-6)


def test_a_map_of_a_volume_gets_its_axes(volume, read):
    path, values = volume
    preprocessing = Compose(read)
    item = preprocessing({"image": str(path)})
    back = OwnSize(preprocessing)(item, item["image"])
    assert back.shape == (1, *values.shape)
    assert back.amax(dim=(0, 1, 2)).argmax() == 1, "the slice with the mark"
    assert ((back[0, ..., 1] > 0) == (values[..., 1] > 100)).float().mean() > 0.9
