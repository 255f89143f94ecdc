"""The anchor's loss by hand, and which samples it counts."""

import math

import pytest
import torch

from noise2mask.losses.anchor_loss import AnchorLoss

MASK = torch.tensor([[1.0, 0.0], [0.0, 0.0]])[None, None]  # (1, 1, 2, 2)


def two(logit=1.0, timesteps=(5, 6)):
    """Two samples of one class, of which the second is sure and right."""
    logits = torch.stack([torch.full((1, 2, 2), logit), 80 * (2 * MASK[0] - 1)])
    return {"logits": logits}, {"mask": MASK.expand(2, -1, -1, -1), "timesteps": torch.tensor(timesteps)}


def test_overlapping_classes_by_hand():
    p = 1 / (1 + math.exp(-1))
    dice = 1 - 2 * p / (4 * p + 1)
    entropy = (-math.log(p) - 3 * math.log(1 - p)) / 4
    expected = (dice + 10 * entropy) / 2 / 5  # of two samples, every fifth timestep
    assert AnchorLoss()(*two()).item() == pytest.approx(expected, rel=1e-4)


def test_exclusive_classes_by_hand():
    mask = torch.cat([1 - MASK, MASK], dim=1)  # background, one structure
    logits = torch.tensor([0.0, 1.0])[None, :, None, None].expand(1, 2, 2, 2)
    p = 1 / (1 + math.exp(-1))  # of the structure
    dice = 1 - 2 * p / (4 * p + 1)  # the background has none
    entropy = (-math.log(p) - 3 * math.log(1 - p)) / 4
    loss = AnchorLoss(exclusive=True, alpha=1)({"logits": logits}, {"mask": mask, "timesteps": torch.zeros(1)})
    assert loss.item() == pytest.approx(dice + 10 * entropy, rel=1e-4)


@pytest.mark.parametrize(("timesteps", "counted"), [((5, 6), True), ((6, 5), False), ((7, 9), False), ((0, 10), True)])
def test_the_paper_s_schedule_counts_every_fifth_timestep_whole(timesteps, counted):
    output, target = two(timesteps=timesteps)
    loss = AnchorLoss(schedule="every")(output, target)
    assert loss.item() == pytest.approx(5 * AnchorLoss()(output, target).item() if counted else 0, abs=1e-5)


def test_over_all_timesteps_both_schedules_have_the_same_mean():
    every = [AnchorLoss(schedule="every")(*two(timesteps=(t, t))).item() for t in range(1000)]
    assert sum(every) / 1000 == pytest.approx(AnchorLoss()(*two()).item(), rel=1e-5)


@pytest.mark.parametrize("exclusive", [False, True])
def test_sure_and_right_it_is_zero_also_where_a_class_never_occurs(exclusive):
    mask = torch.cat([1 - MASK, MASK, 0 * MASK], dim=1)
    target = {"mask": mask, "timesteps": torch.zeros(1)}
    assert AnchorLoss(exclusive)({"logits": 80 * (2 * mask - 1)}, target).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "words"), [({"schedule": "often"}, "'often', expected one of expected"), ({"alpha": 0}, "alpha is 0")]
)
def test_impossible_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        AnchorLoss(**options)
