"""Both losses of a step, added."""

import torch

from noise2mask.losses.diffusion_loss import DiffusionLoss
from noise2mask.losses.joint_loss import JointLoss
from noise2mask.losses.prior_loss import PriorLoss


def test_it_is_the_sum_of_both_losses():
    torch.manual_seed(0)
    output = {"prediction": torch.randn(2, 1, 4, 4), "classification": torch.randn(2, 1)}
    output["location"] = torch.randn(2, 1, 2, 2)
    target = {"prediction": torch.randn(2, 1, 4, 4), "mask": (torch.randn(2, 1, 4, 4) > 0).float()}
    expected = DiffusionLoss("v")(output, target) + PriorLoss()(output, target)
    assert torch.equal(JointLoss(DiffusionLoss("v"), PriorLoss())(output, target), expected)
