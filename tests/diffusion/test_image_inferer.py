"""Generated images: what they may not depend on, and what they must."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.image_inferer import ImageInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.samplers import SAMPLERS
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.guidance import Guided
from noise2mask.networks.reference_encoder import ReferenceEncoder

SCHEDULE = NoiseSchedule("linear", 100, 1e-4, 2e-2)  # ends at an alpha of 0.6, by which no rounding grows
SMALL = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 4}
SMALL |= {"attention_levels": (1,), "token_sides": (2,)}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = DSDMWithReference(ReferenceEncoder(embedding=6, width=4), **SMALL)
    for name, weight in net.named_parameters():
        weight.data += 0 if name.startswith("reference_encoder") else 0.1 * torch.randn(weight.shape)
    return Guided(net, 1.0).eval()


def conditions(images=3):
    """One-hot masks and references of another size."""
    random = torch.Generator().manual_seed(1)
    numbers = torch.randint(0, 3, (images, 16, 16), generator=random)
    mask = torch.nn.functional.one_hot(numbers, 3).movedim(3, 1).float()
    return mask, torch.rand(images, 3, 20, 20, generator=random) * 2 - 1


def inferer(**options):
    return ImageInferer(SCHEDULE, **{"sampler": "ddim", "steps": 2, "samples": 2, **options})


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_images_do_not_depend_on_the_batch_and_the_chunk(network, sampler):
    mask, reference = conditions()
    options = {"sampler": sampler, "variance": "learned"}
    together = inferer(**options).generate(mask, reference, network)
    assert together.shape == (3, 2, 3, 16, 16) and 0 <= together.min() < together.max() <= 1
    pairs = zip(mask, reference, strict=True)
    alone = [inferer(**options).generate(own[None], style[None], network) for own, style in pairs]
    assert close(together, torch.cat(alone))
    assert close(together, inferer(**options, chunk_size=3).generate(mask, reference, network))


def test_sample_n_is_seeded_with_seed_plus_n(network):
    images = inferer(samples=3, seed=5).generate(*conditions(), network)
    for n in range(3):
        assert close(images[:, n], inferer(samples=1, seed=5 + n).generate(*conditions(), network)[:, 0])
    assert not close(images[:, 0], images[:, 1])


@pytest.mark.parametrize(
    ("name", "keep"), [("both", (1, 1)), ("mask", (1, 0)), ("reference", (0, 1)), ("none", (0, 0))]
)
def test_conditions_that_are_not_given_equal_zeros(network, name, keep):
    mask, reference = conditions()
    found = inferer(conditions=name).generate(mask, reference, network)
    assert close(found, inferer().generate(mask * keep[0], reference * keep[1], network))
    assert close(found, inferer().generate(mask, reference, network)) == (name == "both")


def test_as_a_monai_inferer_it_gives_the_first_image_and_takes_tensors_with_meta_data(network):
    mask, reference = conditions()
    first = inferer()(MetaTensor(mask), network, reference=MetaTensor(reference))
    assert torch.equal(first, inferer().generate(mask, reference, network)[:, 0]) and type(first) is torch.Tensor


def test_the_network_is_evaluated_in_eval_mode_and_left_in_its_own(network):
    expected = inferer().generate(*conditions(), network)
    try:
        assert torch.equal(inferer().generate(*conditions(), network.train()), expected) and network.training
        assert not network.network.reference_encoder.training
    finally:
        network.eval()


def test_another_inferer_with_a_changed_option_is_one_of_images_too(network):
    images = inferer(conditions="mask").changed(steps=3, seed=2)
    expected = inferer(conditions="mask", steps=3, seed=2)
    assert torch.equal(images.generate(*conditions(), network), expected.generate(*conditions(), network))
    assert inferer().changed(conditions="none").settings["conditions"] == "none"


def test_settings_hold_what_decides_the_images_and_nothing_of_masks():
    settings = inferer(seed=4).settings
    assert settings["seed"] == 4 and settings["conditions"] == "both" and settings["target"] == "epsilon"
    assert not {"mask_scale", "fusion", "exclusive", "start", "progress", "flips", "zooms", "temperature"} & set(
        settings
    )


def test_options_of_coarse_masks_and_unknown_conditions_are_refused():
    for options in ({"steps": 0}, {"start": 50}):
        with pytest.raises(ValueError, match="There is no coarse image to begin with: sample from noise"):
            inferer(**options)
    with pytest.raises(ValueError, match="conditions is 'all', expected one of both, mask, reference, none"):
        inferer(conditions="all")
    for options in ({"flips": [[], [1]]}, {"fusion": "staple"}, {"temperature": 2.0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} has no effect on images"):
            inferer(**options)


@pytest.mark.parametrize("chunk_size", [1, 64])
@pytest.mark.parametrize("references", [1, 4])
def test_another_number_of_references_than_masks_is_refused(network, references, chunk_size):
    mask, _ = conditions()
    with pytest.raises(ValueError, match=f"Found {references} references for 3 masks, expected one for each"):
        inferer(chunk_size=chunk_size).generate(mask, conditions(references)[1], network)


class Broken(Denoiser):
    def encode(self, mask, reference):
        return Condition(mask, self.training, {})

    def denoise(self, x, timesteps, condition):
        return x * torch.nan


def test_a_sample_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="sample 0 of image 0 of this chunk is not finite"):
        inferer().generate(*conditions(), Broken())
