"""The simple loss of DDPM."""

import torch

from noise2mask.losses.diffusion_loss import DiffusionLoss

PREDICTION, TARGET = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])


def test_it_is_the_mean_squared_error():
    assert DiffusionLoss()(PREDICTION, TARGET).item() == 2.5


def test_it_takes_the_training_output_whole():
    assert DiffusionLoss()({"prediction": PREDICTION, "other": TARGET}, TARGET).item() == 2.5


def test_half_precision_is_compared_in_float():
    loss = DiffusionLoss()(PREDICTION.bfloat16(), TARGET)
    assert loss.dtype == torch.float32 and loss.item() == 2.5
