"""The simple loss of DDPM."""

import torch

from noise2mask.losses.diffusion_loss import DiffusionLoss

PREDICTION, TARGET = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])


def test_it_is_the_mean_squared_error():
    assert DiffusionLoss()({"prediction": PREDICTION}, {"prediction": TARGET}).item() == 2.5


def test_it_takes_output_and_target_of_a_step_whole():
    output, target = {"prediction": PREDICTION, "location": TARGET}, {"prediction": TARGET, "mask": PREDICTION}
    assert DiffusionLoss()(output, target).item() == 2.5


def test_half_precision_is_compared_in_float():
    loss = DiffusionLoss()({"prediction": PREDICTION.bfloat16()}, {"prediction": TARGET})
    assert loss.dtype == torch.float32 and loss.item() == 2.5
