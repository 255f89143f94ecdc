"""Hybrid loss: the divergence by hand, and what it teaches."""

import math

import pytest
import torch

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.diffusion.target import KINDS
from noise2mask.losses.diffusion_loss import DiffusionLoss
from noise2mask.losses.hybrid_loss import HybridLoss

TWO = NoiseSchedule("linear", 2, 0.1, 0.2)  # abar 0.9 and 0.72
SCHEDULES = [TWO, NoiseSchedule(), NoiseSchedule("cosine", 50)]


def step(schedule=TWO, kind="x0", scale=0.3, images=6, shape=(2, 4, 4)):
    """Target of a training step with all timesteps of T = 2, and some of others."""
    torch.manual_seed(0)
    mask = (torch.rand(images, *shape) > 0.5).float()
    prepare = PrepareDiffusion(schedule, kind, scale)
    prepare.draw = lambda mask: (
        torch.arange(images) * (schedule.timesteps - 1) // (images - 1),
        torch.randn(mask.shape),
    )
    return prepare({"image": mask, "label": mask}, torch.device("cpu"))[1]


def output(target, error=0.0, place=-1.0):
    """A prediction that is wrong by `error`, and a variance at `place` between its bounds, -1 and 1."""
    prediction = target["prediction"] + error
    return {"prediction": torch.cat([prediction, torch.full_like(prediction, place)], dim=1)}


def bits(target, schedule=TWO, error=0.0, place=-1.0):
    """Mean divergence of such an output."""
    prediction, place = output(target, error, place)["prediction"].chunk(2, dim=1)
    return HybridLoss(schedule).divergence(prediction, (place + 1) / 2, target).mean().item()


# By hand: beta = 0.1, 0.2; posterior variance at t = 1: 0.2 * (1 - 0.9) / (1 - 0.72) = 1 / 14, taken at t = 0 too


def test_the_divergence_of_wrong_means_and_variances_is_that_by_hand():
    target, loss = step(), HybridLoss(TWO)
    for t, slope, beta in ((1, math.sqrt(0.9) * 0.2 / 0.28, 0.2), (0, 1.0, 0.1)):
        some = {name: value[target["timesteps"] == t] for name, value in target.items()}
        found = loss.divergence(some["prediction"] + 0.1, torch.full_like(some["mask"], 0.25), some)
        q, p = 1 / 14, (1 / 14) ** 0.75 * beta**0.25
        nats = 0.5 * (math.log(p / q) - 1 + q / p + (slope * 0.1) ** 2 / p)
        assert torch.allclose(found, torch.tensor(nats / math.log(2)), rtol=1e-4)


def test_the_loss_is_the_simple_one_and_a_thousandth_of_t_divergences():
    target, loss = step(), HybridLoss(TWO)
    prediction, place = output(target, error=0.1, place=0.5)["prediction"].chunk(2, dim=1)
    simple = DiffusionLoss()({"prediction": prediction}, target)
    divergence = loss.divergence(prediction, (place + 1) / 2, target)
    assert loss(output(target, error=0.1, place=0.5), target).item() == pytest.approx(
        (simple + 0.001 * 2 * divergence.mean()).item()
    )


# What it means


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("scale", [0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_true_mask_and_the_posterior_s_variance_cost_nothing(kind, scale, schedule):
    target = step(schedule, kind, scale)
    loss = HybridLoss(schedule, kind, scale, vlb_weight=1.0)
    assert loss(output(target), target).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_it_grows_with_the_error_and_with_a_variance_that_is_too_large(schedule):
    target = step(schedule)
    by_error = [bits(target, schedule, error=error) for error in (0.0, 0.05, 0.1, 0.2)]
    by_place = [bits(target, schedule, place=place) for place in (-1.0, -0.5, 0.0, 1.0)]
    assert by_error == sorted(set(by_error)) and by_place == sorted(set(by_place))


def test_the_best_variance_is_the_posterior_s_and_the_error_s_together():
    target, loss = step(), HybridLoss(TWO)
    some = {name: value[target["timesteps"] == 1] for name, value in target.items()}
    fractions = torch.linspace(0, 1, 1001)
    costs = [loss.divergence(some["prediction"] + 0.2, fraction, some).mean().item() for fraction in fractions]
    best = (1 / 14) * (0.2 * 14) ** fractions[costs.index(min(costs))].item()
    assert best == pytest.approx(1 / 14 + 0.9 * (0.2 * 0.2 / 0.28) ** 2, rel=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_divergence_teaches_the_variance_and_leaves_the_prediction_alone(kind):
    target, loss = step(kind=kind), HybridLoss(TWO, kind)
    prediction = (target["prediction"] + 0.1).requires_grad_()
    fraction = torch.full_like(prediction, 0.9).requires_grad_()
    loss.divergence(prediction, fraction, target).sum().backward()
    assert prediction.grad is None and fraction.grad.abs().min() > 0
    both = output(target, error=0.1, place=0.8)["prediction"].requires_grad_()
    loss({"prediction": both}, target).backward()
    simple = both.detach()[:, :2].clone().requires_grad_()
    DiffusionLoss(kind)({"prediction": simple}, target).backward()
    assert torch.equal(both.grad[:, :2], simple.grad)


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 4, 4, 2)])
def test_a_batch_costs_the_mean_of_its_images(shape):
    target, loss = step(NoiseSchedule(), shape=shape), HybridLoss(NoiseSchedule(), dice_weight=0)
    whole = output(target, error=torch.rand(6, *[1] * len(shape)), place=0.3)["prediction"]
    alone = [
        loss({"prediction": whole[i : i + 1]}, {name: value[i : i + 1] for name, value in target.items()})
        for i in range(6)
    ]
    assert loss({"prediction": whole}, target).item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_dice_is_a_part_of_the_simple_loss():
    target = step()
    without, both = HybridLoss(TWO), HybridLoss(TWO, dice_weight=2.0)
    prediction = {"prediction": target["prediction"] + 0.1}
    dice = DiffusionLoss(dice_weight=2.0)(prediction, target) - DiffusionLoss()(prediction, target)
    found = both(output(target, error=0.1), target) - without(output(target, error=0.1), target)
    assert found.item() == pytest.approx(dice.item(), abs=1e-6) and dice > 0


# Images: at t = 0 the likelihood of one of 256 values, by hand


def image_step(timestep, values, error):
    """Target and output for an image of these values in [-1, 1], one pixel each."""
    target = step(scale=1.0, images=len(values), shape=(1, 1, 1))
    target["mask"] = (torch.tensor(values).reshape(-1, 1, 1, 1) + 1) / 2
    target["timesteps"] = torch.full((len(values),), timestep)
    return target, 2 * target["mask"] - 1 + error


@pytest.mark.parametrize(("fraction", "error"), [(0.0, 0.1), (0.25, -0.05), (1.0, 0.0)])
def test_the_last_step_of_images_costs_the_normal_distribution_s_share_of_their_bin(fraction, error):
    values = [-1.0, -1 / 255, 101 / 255, 1.0]
    target, guess = image_step(0, values, error)
    found = HybridLoss(TWO, mask_scale=1.0, levels=256).divergence(guess, torch.full_like(guess, fraction), target)
    deviation = math.sqrt((1 / 14) ** (1 - fraction) * 0.1**fraction)
    for value, bits in zip(values, found.flatten().tolist(), strict=True):
        cdf = [0.5 * (1 + math.erf((side / 255 - error) / deviation / math.sqrt(2))) for side in (-1, 1)]
        low, high = 0 if value == -1 else cdf[0], 1 if value == 1 else cdf[1]
        assert bits == pytest.approx(-math.log2(high - low), rel=1e-3)


def test_bins_of_an_image_have_the_probability_one_together():
    values = [-1 + 2 * i / 255 for i in range(256)]
    target, _ = image_step(0, values, 0.0)
    loss, guess = HybridLoss(TWO, mask_scale=1.0, levels=256), torch.full_like(target["mask"], 0.3)
    bits = loss.divergence(guess, torch.full_like(guess, 0.5), target)
    assert torch.exp2(-bits).sum().item() == pytest.approx(1, abs=1e-3)


def test_a_guess_far_off_has_a_finite_likelihood_and_teaches_the_variance():
    target, guess = image_step(0, [-1.0, 0.2, 1.0], 0.0)
    fraction = torch.zeros_like(guess).requires_grad_()
    bits = HybridLoss(TWO, mask_scale=1.0, levels=256).divergence(guess.flip(0) * 20, fraction, target)
    bits.sum().backward()
    assert bits.isfinite().all() and fraction.grad.isfinite().all() and fraction.grad[[0, 2]].abs().min() > 0


def test_other_steps_of_images_cost_their_divergence_as_those_of_masks_do():
    target, guess = image_step(1, [-1.0, 0.2, 1.0], 0.1)
    fraction = torch.full_like(guess, 0.25)
    masks, images = (HybridLoss(TWO, mask_scale=1.0, levels=levels) for levels in (None, 256))
    assert torch.equal(masks.divergence(guess, fraction, target), images.divergence(guess, fraction, target))


def test_a_thousand_steps_weigh_their_divergence_as_the_squared_error():
    target = step(NoiseSchedule("cosine"), "epsilon", 1.0)
    loss = HybridLoss(NoiseSchedule("cosine"), "epsilon", mask_scale=1.0, levels=256)
    both = output(target, error=0.1, place=0.5)
    bits = loss.divergence(target["prediction"] + 0.1, torch.full_like(target["mask"], 0.75), target).mean()
    assert loss(both, target).item() == pytest.approx((0.01 + bits).item(), rel=1e-4)


# What is refused


def test_a_network_without_a_variance_and_other_channels_are_refused():
    target = step()
    with pytest.raises(ValueError, match="learns no variance: set its learn_sigma, or take DiffusionLoss"):
        HybridLoss(TWO)({"prediction": target["prediction"]}, target)
    with pytest.raises(ValueError, match="predicts 3 channels, expected 2, or 4 with a learned variance"):
        HybridLoss(TWO)({"prediction": torch.zeros(6, 3, 4, 4)}, target)


def test_the_plain_loss_refuses_a_network_with_a_variance():
    target = step()
    with pytest.raises(ValueError, match=r"shape \(6, 4, 4, 4\), expected \(6, 2, 4, 4\) as the mask: take HybridLoss"):
        DiffusionLoss()(output(target), target)


def test_a_schedule_of_one_timestep_is_refused():
    with pytest.raises(ValueError, match="1 timestep, expected at least 2"):
        HybridLoss(NoiseSchedule("linear", 1))
