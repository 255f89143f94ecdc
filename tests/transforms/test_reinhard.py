"""Colours of patches are moved by what a file says of their slide."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from noise2mask.data.slide_colours import SlideColours, to_slide, write_colours
from noise2mask.transforms.reinhard import ReinhardToSlided

COLOURS = SlideColours([60.0, 5.0, -5.0], [8.0, 4.0, 4.0], 1, 1)


@pytest.fixture
def transform(tmp_path):
    write_colours({"a": COLOURS}, (10, 85), tmp_path / "colours.json")
    return ReinhardToSlided("image", tmp_path / "colours.json")


def test_a_patch_is_moved_to_its_slide_and_keeps_its_meta_data(transform):
    image = torch.rand(3, 9, 8) * 100 + 60
    data = {"image": MetaTensor(image.clone(), meta={"filename_or_obj": "t.png"}), "slide": "a"}
    moved = transform(data)["image"]
    assert np.array_equal(moved.numpy(), to_slide(image.numpy(), COLOURS, (10, 85)))
    assert moved.meta["filename_or_obj"] == "t.png" and moved.dtype == torch.float32
    assert torch.equal(data["image"].as_tensor(), image), "the item that was given stays"


@pytest.mark.parametrize(("item", "said"), [({"slide": "b"}, "no slide b, but a"), ({}, "A tile names no slide")])
def test_a_slide_that_the_file_lacks_is_named(transform, item, said):
    with pytest.raises(ValueError, match=said):
        transform({"image": torch.zeros(3, 4, 4), **item})


def test_a_grey_patch_is_refused(transform):
    with pytest.raises(ValueError, match=r"image of slide a has shape \(1, 4, 4\), expected \(3, H, W\)"):
        transform({"image": torch.zeros(1, 4, 4), "slide": "a"})
