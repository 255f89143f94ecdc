"""Masks from noisy images: noised as in training, one pass a noise, the same in every batch."""

import pytest
import torch

from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.feature_inferer import FeatureInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_features import PrepareFeatures
from noise2mask.diffusion.uncertainty import standard_deviation

SCHEDULE = NoiseSchedule("cosine", 100)


class Sees(Denoiser):
    """Class 1 where what it sees is above 0, by as much; it keeps what it was given."""

    def encode(self, image):
        return Condition(image, self.training, {})

    def denoise(self, x, timesteps, condition):
        self.seen = (x, timesteps)
        return torch.cat([0 * x[:, :1], x[:, :1], x[:, :1] - 9], dim=1)


def images(count=3):
    return torch.rand(count, 2, 4, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1


def inferer(**options):
    return FeatureInferer(SCHEDULE, **{"timestep": 20, "samples": 2, **options})


def test_what_the_network_sees_is_the_image_with_the_noise_of_its_timestep():
    network, image = Sees(), images(1)
    inferer(samples=1, seed=4)(image, network)
    alpha, sigma = SCHEDULE.alpha_sigma(20)
    noise = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(4))
    x, timesteps = network.seen
    assert torch.allclose(x[0], alpha * image[0] + sigma * noise) and timesteps.tolist() == [20]


def test_masks_are_the_softmax_of_the_logits_and_their_mean():
    network, image = Sees(), images(1)
    samples = inferer().sample(image, network)
    x = network.seen[0]
    expected = torch.cat([0 * x[:, :1], x[:, :1], x[:, :1] - 9], dim=1).softmax(1)
    assert samples.shape == (1, 2, 3, 4, 6) and torch.allclose(samples[0], expected, atol=1e-6)
    assert torch.allclose(inferer()(image, network), expected.mean(0)[None], atol=1e-6)
    assert standard_deviation(samples).max() > 0.01


@pytest.mark.parametrize("chunk_size", [1, 3, 64])
def test_they_do_not_depend_on_batch_and_chunk(chunk_size):
    together = inferer(chunk_size=chunk_size).sample(images(), Sees())
    alone = torch.cat([inferer().sample(image[None], Sees()) for image in images()])
    assert torch.allclose(together, alone, atol=1e-6)
    assert torch.allclose(together[:, 1], inferer(samples=1, seed=1).sample(images(), Sees())[:, 0], atol=1e-6)


def test_settings_and_changes_are_those_of_features():
    own = inferer(seed=3).changed(timestep=50)
    assert own.settings["timestep"] == 50 and own.settings["seed"] == 3 and own.settings["samples"] == 2
    assert not {"steps", "sampler", "target", "mask_scale"} & set(own.settings)


def test_training_noises_in_the_same_way_and_leaves_the_image_and_the_mask():
    image, label = images(), torch.ones(3, 3, 4, 6)
    torch.manual_seed(5)
    x, target, _, options = PrepareFeatures(SCHEDULE, 20)({"image": image, "label": label}, torch.device("cpu"))
    torch.manual_seed(5)
    alpha, sigma = SCHEDULE.alpha_sigma(20)
    assert torch.allclose(x, alpha * image + sigma * torch.randn(image.shape))
    assert torch.equal(options["context"], image) and options["timesteps"].tolist() == [20]
    assert torch.equal(target["mask"], label)


@pytest.mark.parametrize("timestep", [-1, 100])
def test_a_timestep_that_the_schedule_does_not_have_is_refused(timestep):
    for make in (lambda: inferer(timestep=timestep), lambda: PrepareFeatures(SCHEDULE, timestep)):
        with pytest.raises(ValueError, match=f"timestep is {timestep}, expected 0 to 99"):
            make()


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="The network has 3 classes, expected 4"):
        inferer(out_channels=4)(images(), Sees())
