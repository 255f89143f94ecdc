"""One training step's noisy mask and target, by hand at a given draw."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion, PrepareSupervised, plain

SCHEDULE = NoiseSchedule("linear", 100)
CPU = torch.device("cpu")


def batch(images=2):
    mask = torch.zeros(images, 1, 2, 2)
    mask[:, :, 0] = 1
    return {"image": torch.rand(images, 1, 2, 2), "label": mask}


def prepared(monkeypatch, target, scale=0.3):
    prepare, data = PrepareDiffusion(SCHEDULE, target, scale), batch()
    noise = torch.arange(8.0).reshape(2, 1, 2, 2)
    monkeypatch.setattr(prepare, "draw", lambda mask: (torch.tensor([7, 60]), noise))
    return data, noise, prepare(data, CPU)


def test_the_noisy_mask_is_alpha_x0_plus_sigma_noise(monkeypatch):
    _, noise, (x, _, args, kwargs) = prepared(monkeypatch, "x0")
    for i, t in enumerate((7, 60)):
        alpha, sigma = SCHEDULE.alpha_sigma(t)
        assert x[i, 0, 0].tolist() == pytest.approx((alpha * 0.3 + sigma * noise[i, 0, 0]).tolist())
        assert x[i, 0, 1].tolist() == pytest.approx((-alpha * 0.3 + sigma * noise[i, 0, 1]).tolist())
    assert args == () and kwargs["timesteps"].tolist() == [7, 60]


@pytest.mark.parametrize("kind", ["x0", "epsilon", "v"])
def test_targets_are_those_of_their_definitions(monkeypatch, kind):
    data, noise, (_, target, _, _) = prepared(monkeypatch, kind, scale=1.0)
    x0 = 2 * data["label"] - 1
    alpha, sigma = (torch.tensor(v)[:, None, None, None] for v in zip(*map(SCHEDULE.alpha_sigma, (7, 60)), strict=True))
    expected = {"x0": x0, "epsilon": noise, "v": alpha * noise - sigma * x0}[kind]
    assert torch.allclose(target["prediction"], expected.float(), atol=1e-5)
    assert torch.equal(target["mask"], data["label"])


def test_the_context_is_the_image(monkeypatch):
    data, _, (_, _, _, kwargs) = prepared(monkeypatch, "x0")
    assert torch.equal(kwargs["context"], data["image"])


def test_draws_cover_all_timesteps_and_are_standard_normal():
    torch.manual_seed(0)
    timesteps, noise = PrepareDiffusion(SCHEDULE).draw(torch.zeros(5000, 1, 2, 2))
    assert set(timesteps.tolist()) == set(range(100))
    assert noise.mean().item() == pytest.approx(0, abs=0.03) and noise.std().item() == pytest.approx(1, abs=0.03)


def test_the_seed_decides_the_draw():
    first, second, third = [(torch.manual_seed(s), PrepareDiffusion(SCHEDULE)(batch(), CPU))[1][0] for s in (3, 3, 4)]
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_an_unknown_target_is_refused():
    with pytest.raises(ValueError, match="noise"):
        PrepareDiffusion(SCHEDULE, "noise")


def test_meta_data_and_integer_types_are_left_behind():
    out = plain(MetaTensor(torch.ones(1, 2, 2, dtype=torch.uint8)), CPU)
    assert type(out) is torch.Tensor and out.dtype == torch.float32


def test_the_prior_phase_gets_image_and_mask():
    data = {key: MetaTensor(value) for key, value in batch().items()}
    image, target = PrepareSupervised()(data, CPU)
    assert torch.equal(image, data["image"].as_tensor()) and torch.equal(target["mask"], data["label"].as_tensor())
    assert set(target) == {"mask"}


def test_classes_go_along_where_the_data_have_them():
    data = {**batch(), "class": torch.tensor([2, 0])}
    assert PrepareSupervised()(data, CPU)[1]["class"].tolist() == [2, 0]
    assert PrepareDiffusion(SCHEDULE)(data, CPU)[1]["class"].tolist() == [2, 0]


def test_a_power_draws_more_of_the_noisiest_timesteps_and_none_outside():
    torch.manual_seed(0)
    timesteps, _ = PrepareDiffusion(SCHEDULE, timestep_power=3.0).draw(torch.zeros(20000, 1, 1, 1))
    assert set(timesteps.tolist()) <= set(range(100))
    assert (timesteps >= 69).float().mean().item() == pytest.approx(1 - 0.69**3, abs=0.01)  # of u > 0.69^3
    assert (timesteps < 50).float().mean().item() == pytest.approx(0.5**3, abs=0.01)


def test_a_power_of_one_draws_what_was_drawn_before_there_was_one():
    torch.manual_seed(0)
    timesteps, _ = PrepareDiffusion(SCHEDULE).draw(torch.zeros(4, 1, 1, 1))
    torch.manual_seed(0)
    assert torch.equal(timesteps, torch.randint(0, 100, (4,)))


def test_a_power_must_be_above_zero():
    with pytest.raises(ValueError, match="timestep_power is 0, expected more than 0"):
        PrepareDiffusion(SCHEDULE, timestep_power=0)
