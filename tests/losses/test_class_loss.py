"""Cross-entropy by hand; what nobody labelled does not count."""

import math

import pytest
import torch

from noise2mask.losses.class_loss import ClassLoss


def batch():
    """Two pixels of one image, classes 0 and 1 of 2, with logits 0 and log 3 in favour of class 1."""
    logits = torch.tensor([0.0, 0.0, math.log(3), math.log(3)]).reshape(1, 2, 1, 2)
    mask = torch.tensor([1.0, 0.0, 0.0, 1.0]).reshape(1, 2, 1, 2)
    return logits, mask


def test_the_mean_over_pixels_by_hand():
    logits, mask = batch()
    found = ClassLoss()({"logits": logits}, {"mask": mask})
    assert float(found) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)


def test_a_pixel_of_no_class_is_left_out_and_an_image_of_none_gives_zero():
    logits, mask = batch()
    mask[..., 0] = 0
    logits.requires_grad_()
    loss = ClassLoss()({"logits": logits}, {"mask": mask})
    loss.backward()
    assert float(loss) == pytest.approx(math.log(4 / 3)) and not logits.grad[..., 0].any()
    assert float(ClassLoss()({"logits": logits}, {"mask": 0 * mask})) == 0
