"""Colour jitter: nothing by zero, luma under hue, factors by hand, reproducible."""

import pytest
import torch

from noise2mask.transforms.colour_jitter import LUMA, RandColourJitterd, jittered


def picture():
    return torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)) - 0.5  # far from both bounds


def luma(image):
    return (torch.tensor(LUMA)[:, None, None] * image).sum(0)


def test_zero_changes_nothing():
    assert torch.allclose(jittered(picture(), 0, 0, 0, 0), picture(), atol=1e-6)


def test_factors_by_hand():
    grey = torch.full((3, 1, 2), 0.0)
    grey[:, 0, 1] = 0.4  # in [0, 1]: 0.5 and 0.7
    assert torch.allclose(jittered(grey, 0.2, 0, 0, 0), torch.tensor([[[0.2, 0.68]]]).expand(3, 1, 2), atol=1e-5)
    assert torch.allclose(jittered(grey, 0, 0.5, 0, 0), torch.tensor([[[-0.1, 0.5]]]).expand(3, 1, 2), atol=1e-5)
    without_colour = jittered(picture(), 0, 0, -1, 0)
    assert torch.allclose(without_colour, luma(picture()).expand(3, 4, 5), atol=1e-5)


def test_hue_keeps_grey_and_luma_and_a_whole_turn_is_none():
    turned = jittered(picture(), 0, 0, 0, 0.1)
    assert torch.allclose(luma(turned), luma(picture()), atol=1e-5) and not torch.allclose(turned, picture(), atol=0.05)
    assert torch.allclose(jittered(turned, 0, 0, 0, 0.9), picture(), atol=1e-5)
    assert torch.allclose(jittered(torch.zeros(3, 2, 2), 0, 0, 0, 0.3), torch.zeros(3, 2, 2), atol=1e-6)


def test_it_is_drawn_from_its_own_state_within_its_range_and_as_often_as_asked_for():
    jitter = RandColourJitterd("image", prob=0.5)
    runs = []
    for _ in range(2):
        jitter.set_random_state(seed=3)
        runs.append(torch.stack([jitter({"image": picture()})["image"] for _ in range(40)]))
    assert torch.equal(*runs) and -1 <= runs[0].min() and runs[0].max() <= 1
    changed = sum(not torch.equal(image, picture()) for image in runs[0])
    assert 10 < changed < 30


def test_a_grey_image_is_refused():
    with pytest.raises(ValueError, match="has 1 channels, expected red, green and blue"):
        RandColourJitterd("image", prob=1)({"image": torch.zeros(1, 2, 2)})
