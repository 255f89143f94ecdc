"""Squared error, and Dice of the clean mask, by hand."""

import pytest
import torch

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.losses.diffusion_loss import DiffusionLoss

PREDICTION, TARGET = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
MASK = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 2)


def test_it_is_the_mean_squared_error():
    for target in ("epsilon", "v"):
        assert DiffusionLoss(target)({"prediction": PREDICTION}, {"prediction": TARGET}).item() == 2.5


def test_an_x0_is_compared_in_units_of_the_mask_scale():
    loss = DiffusionLoss("x0", mask_scale=0.5)({"prediction": PREDICTION}, {"prediction": TARGET})
    assert loss.item() == 2.5 / 0.25


def test_it_takes_output_and_target_of_a_step_whole():
    output, target = {"prediction": PREDICTION, "location": TARGET}, {"prediction": TARGET, "mask": PREDICTION}
    assert DiffusionLoss("v")(output, target).item() == 2.5


def test_half_precision_is_compared_in_float():
    loss = DiffusionLoss("v")({"prediction": PREDICTION.bfloat16()}, {"prediction": TARGET})
    assert loss.dtype == torch.float32 and loss.item() == 2.5


def test_the_dice_term_is_that_of_the_soft_mask():
    # x0 on +-0.3: soft values 1, 0.5, 0, 0.5; overlap 1.5, sums 2 and 2
    x0 = torch.tensor([0.3, 0.0, -0.6, 0.0]).reshape(1, 1, 2, 2)
    target = {"prediction": 0.3 * (2 * MASK - 1), "mask": MASK, "noisy": x0, "alpha": 1.0, "sigma": 0.0}
    plain, whole = DiffusionLoss(), DiffusionLoss(dice_weight=2.0)
    dice = 2 * 1.5 / (2 + 2)
    expected = plain({"prediction": x0}, target).item() + 2 * (1 - dice)
    assert whole({"prediction": x0}, target).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["x0", "v"])
def test_a_perfect_prediction_costs_nothing_whatever_it_stands_for(kind):
    torch.manual_seed(0)
    batch = {"image": torch.rand(3, 1, 2, 2), "label": MASK.repeat(3, 1, 1, 1)}
    _, target, _, _ = PrepareDiffusion(NoiseSchedule("linear", 100), kind)(batch, torch.device("cpu"))
    loss = DiffusionLoss(kind, dice_weight=1.0)({"prediction": target["prediction"]}, target)
    assert loss.item() == pytest.approx(0, abs=1e-4)


def test_a_dice_term_of_epsilon_and_masks_without_a_scale_are_refused():
    with pytest.raises(ValueError, match="mask_scale is 0, expected more than 0"):
        DiffusionLoss(mask_scale=0)
    with pytest.raises(ValueError, match="dice_weight needs the target x0 or v"):
        DiffusionLoss("epsilon", dice_weight=1.0)
