"""Loss of the prior: equations 7 to 10 by hand."""

import math

import pytest
import torch

from noise2mask.losses.prior_loss import PriorLoss

MASK = torch.zeros(2, 1, 4, 4)
MASK[0, 0, 0, :2] = 1  # a lesion in the first image, none in the second; the nearest of 2 x 2 pixels is the upper left


def output(classification=0.0, location=0.0):
    return {"classification": torch.full((2, 1), classification), "location": torch.full((2, 1, 2, 2), location)}


def test_it_equals_the_equations_at_logits_of_zero():
    # Probabilities are 1/2. Small masks: one of 8 pixels is 1. Dice: 1 - (2 * 1/2) / (1 + 4). All BCE are ln 2.
    expected = 0.3 * math.log(2) + 0.7 * (1 - 1 / 5 + math.log(2))
    assert PriorLoss(0.3, 0.7)(output(), MASK).item() == pytest.approx(expected, abs=1e-5)


def test_the_class_is_whether_there_is_any_foreground():
    right = {**output(), "classification": torch.tensor([[20.0], [-20.0]])}
    wrong = {**output(), "classification": torch.tensor([[-20.0], [20.0]])}
    assert PriorLoss(1, 0)(right, MASK).item() < 1e-6 < 19 < PriorLoss(1, 0)(wrong, MASK).item()


def test_a_perfect_answer_costs_nothing():
    place = torch.full((2, 1, 2, 2), -30.0)
    place[0, 0, 0, 0] = 30
    perfect = {"classification": torch.tensor([[30.0], [-30.0]]), "location": place}
    assert PriorLoss()(perfect, MASK).item() == pytest.approx(0, abs=1e-4)


def test_empty_masks_give_a_finite_loss_and_gradient():
    location = torch.zeros(2, 1, 2, 2, requires_grad=True)
    loss = PriorLoss()({**output(), "location": location}, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert loss.isfinite() and location.grad.isfinite().all()
