"""Masks that are scored: hard, and nothing where nobody labelled."""

import pytest
import torch
from monai.metrics import DiceMetric

from noise2mask.transforms.hard_mask import HardMaskd, LabelledOnlyd


def test_of_exclusive_classes_the_largest_wins_and_others_are_cut_at_a_half():
    soft = torch.tensor([[0.2, 0.4], [0.5, 0.35], [0.3, 0.25]])
    assert HardMaskd("pred", exclusive=True)({"pred": soft})["pred"].tolist() == [[0, 1], [1, 0], [0, 0]]
    assert HardMaskd("pred")({"pred": soft})["pred"].tolist() == [[0, 0], [0, 0], [0, 0]]


def test_a_mask_that_goes_on_where_nobody_labelled_is_as_good_as_one_that_does_not():
    label = torch.zeros(2, 4, 4)
    label[1, :2, :2] = label[0, 2:, :2] = 1  # the right half is padding
    whole = torch.zeros(2, 4, 4)
    whole[1, :2], whole[0, 2:] = 1, 1
    data = LabelledOnlyd("pred")({"pred": whole, "label": label})
    assert torch.equal(data["pred"], label) and torch.equal(data["label"], label)
    dice = [DiceMetric(include_background=False)(own[None], label[None]).item() for own in (whole, data["pred"])]
    assert dice == pytest.approx([2 / 3, 1.0])
