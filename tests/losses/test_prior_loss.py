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
    assert PriorLoss(0.3, 0.7)(output(), {"mask": MASK}).item() == pytest.approx(expected, abs=1e-5)


def test_the_class_is_whether_there_is_any_foreground():
    right = {**output(), "classification": torch.tensor([[20.0], [-20.0]])}
    wrong = {**output(), "classification": torch.tensor([[-20.0], [20.0]])}
    assert PriorLoss(1, 0)(right, {"mask": MASK}).item() < 1e-6 < 19 < PriorLoss(1, 0)(wrong, {"mask": MASK}).item()


def test_a_perfect_answer_costs_nothing():
    place = torch.full((2, 1, 2, 2), -30.0)
    place[0, 0, 0, 0] = 30
    perfect = {"classification": torch.tensor([[30.0], [-30.0]]), "location": place}
    assert PriorLoss()(perfect, {"mask": MASK}).item() == pytest.approx(0, abs=1e-4)


def test_empty_masks_give_a_finite_loss_and_gradient():
    location = torch.zeros(2, 1, 2, 2, requires_grad=True)
    loss = PriorLoss()({**output(), "location": location}, {"mask": torch.zeros(2, 1, 4, 4)})
    loss.backward()
    assert loss.isfinite() and location.grad.isfinite().all()


def test_several_classes_take_cross_entropy_with_the_item_s_class():
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    target = {"mask": MASK, "class": torch.tensor([1, 2])}
    expected = torch.nn.functional.cross_entropy(logits, target["class"])
    assert PriorLoss(1, 0)({**output(), "classification": logits}, target).item() == pytest.approx(expected.item())


def test_several_classes_without_a_class_say_what_to_do():
    with pytest.raises(ValueError, match=r"3 classes, but the data name none: use a layout that does \(busi\)"):
        PriorLoss()({**output(), "classification": torch.zeros(2, 3)}, {"mask": MASK})


@pytest.mark.parametrize(("resize", "kept"), [("nearest", 0), ("area", 0), ("max", 1)])
def test_a_single_pixel_survives_the_resize_by_maximum_alone(resize, kept):
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 1, 1] = 1
    assert PriorLoss(mask_resize=resize)._resized(mask, (2, 2)).sum() == kept


def test_half_covered_is_foreground_by_area():
    assert PriorLoss(mask_resize="area")._resized(MASK, (2, 2))[:, 0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]]]


def test_an_unknown_resize_is_refused():
    with pytest.raises(ValueError, match="'linear', expected one of nearest, area, max"):
        PriorLoss(mask_resize="linear")
