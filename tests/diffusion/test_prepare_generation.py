"""One training step of generation: the image is noised, mask and reference are seen."""

import pytest
import torch

from noise2mask.diffusion.condition_dropout import ConditionDropout
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_generation import PrepareGeneration
from noise2mask.losses.hybrid_loss import HybridLoss

SCHEDULE = NoiseSchedule("cosine", 1000)
CPU = torch.device("cpu")


def batch(images=4):
    """Images in [-1, 1], one-hot masks, references of another size."""
    torch.manual_seed(0)
    mask = torch.nn.functional.one_hot(torch.randint(0, 3, (images, 4, 4)), 3).movedim(3, 1).float()
    return {
        "image": torch.rand(images, 3, 4, 4) * 2 - 1,
        "label": mask,
        "reference": torch.rand(images, 3, 6, 5) * 2 - 1,
    }


@pytest.mark.parametrize("seed", [None, 3])
def test_the_noisy_image_is_alpha_x0_plus_sigma_noise_and_the_mask_of_the_target_is_the_image(seed):
    data = batch()
    x, target, args, options = PrepareGeneration(SCHEDULE, seed=seed)(data, CPU)
    alpha, sigma = SCHEDULE.gather(options["timesteps"], like=x)
    assert torch.allclose(x, alpha * data["image"] + sigma * target["prediction"], atol=1e-5) and args == ()
    assert torch.allclose(target["mask"], (data["image"] + 1) / 2)
    assert torch.equal(options["context"], data["label"]) and torch.equal(options["reference"], data["reference"])


def test_with_a_seed_timesteps_lie_evenly_and_two_calls_have_the_same_noise():
    prepare = PrepareGeneration(SCHEDULE, seed=3)
    (_, first, _, options), (_, second, _, _) = prepare(batch(), CPU), prepare(batch(), CPU)
    assert options["timesteps"].tolist() == [125, 375, 625, 875]
    assert torch.equal(first["prediction"], second["prediction"])
    other = PrepareGeneration(SCHEDULE, seed=4)(batch(), CPU)[1]["prediction"]
    assert not torch.equal(first["prediction"], other)


def test_without_a_seed_two_calls_differ():
    data, prepare = batch(), PrepareGeneration(SCHEDULE)
    assert not torch.equal(prepare(data, CPU)[0], prepare(data, CPU)[0])


@pytest.mark.parametrize("kind", ["epsilon", "x0", "v"])
def test_the_hybrid_loss_of_its_target_is_finite_at_the_first_and_the_last_timestep_too(kind, monkeypatch):
    prepare = PrepareGeneration(SCHEDULE, target=kind)
    monkeypatch.setattr(prepare, "draw", lambda mask: (torch.tensor([0, 1, 998, 999]), torch.randn(mask.shape)))
    _, target, _, _ = prepare(batch(), CPU)
    output = {"prediction": torch.randn(4, 6, 4, 4, requires_grad=True)}
    loss = HybridLoss(SCHEDULE, kind, mask_scale=1.0, vlb_weight=0.001, levels=256)(output, target)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(output["prediction"].grad).all()


@pytest.mark.parametrize(("shares", "mask", "reference"), [((0, 1, 0), 0, 1), ((0, 0, 1), 1, 0), ((1, 0, 0), 0, 0)])
def test_conditions_are_dropped_as_the_dropout_says_and_the_noisy_image_stays(shares, mask, reference):
    data, whole = batch(), PrepareGeneration(SCHEDULE, seed=0)(batch(), CPU)[0]
    x, _, _, options = PrepareGeneration(SCHEDULE, ConditionDropout(*shares), seed=0)(data, CPU)
    assert torch.equal(options["context"], data["label"] * mask)
    assert torch.equal(options["reference"], data["reference"] * reference) and torch.equal(x, whole)
