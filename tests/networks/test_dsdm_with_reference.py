"""DSDM whose references are images: zeros are none, the encoder stays as it is, a cache changes nothing."""

import pytest
import torch

from noise2mask.diffusion.image_inferer import ImageInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.networks.dsdm import DSDM
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.guidance import Guided
from noise2mask.networks.reference_encoder import ReferenceEncoder

T = torch.tensor([3, 900])
SMALL = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 4}
SMALL |= {"attention_levels": (1,), "token_sides": (2,)}


def network(**options):
    """A small one whose zeroed layers are scrambled, so that every part matters."""
    torch.manual_seed(0)
    net = DSDMWithReference(ReferenceEncoder(embedding=6, width=4), **SMALL | options).eval()
    for name, weight in net.named_parameters():
        weight.data += 0 if name.startswith("reference_encoder") else 0.1 * torch.randn(weight.shape)
    return net


def batch(size=(16, 16)):
    """Two noisy images, one-hot masks and references of another size."""
    torch.manual_seed(1)
    mask = torch.nn.functional.one_hot(torch.randint(0, 3, (2, *size)), 3).movedim(3, 1).float()
    return torch.randn(2, 3, *size), mask, torch.rand(2, 3, 20, 24) * 2 - 1


def close(a, b):
    return torch.allclose(a, b, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("missing", [["context"], ["reference"], ["context", "reference"]])
def test_zeros_equal_a_mask_and_an_image_that_are_not_given(missing):
    net, (x, mask, reference) = network(), batch()
    given = {"context": mask, "reference": reference}
    zeros = net(x, T, **given | {name: torch.zeros_like(given[name]) for name in missing})
    assert close(zeros, net(x, T, **given | dict.fromkeys(missing)))
    assert not close(zeros, net(x, T, **given))


@torch.no_grad()
def test_it_is_dsdm_on_what_the_encoder_makes_of_the_reference_each_image_by_itself():
    net, (x, mask, reference) = network(), batch()
    plain = DSDM(embedding=6, **SMALL).eval()
    plain.load_state_dict({name: w for name, w in net.state_dict().items() if not name.startswith("reference_enc")})
    assert torch.equal(net(x, T, mask, reference), plain(x, T, mask, net.reference_encoder(reference)))
    reference[0] = 0
    embedded = net.embedded(reference)
    assert not embedded[0].any() and close(embedded[1:], net.embedded(reference[1:]))


def test_training_reaches_all_of_dsdm_and_leaves_the_encoder_as_it_is():
    net, (x, mask, reference) = network().train(), batch()
    before = {name: value.clone() for name, value in net.reference_encoder.state_dict().items()}
    reference[0] = 0
    net(x, T, mask, reference)["prediction"].square().mean().backward()
    without = {name for name, weight in net.named_parameters() if weight.grad is None}
    assert without == {f"reference_encoder.{name}" for name, _ in net.reference_encoder.named_parameters()}
    assert all(torch.equal(value, before[name]) for name, value in net.reference_encoder.state_dict().items())


@torch.no_grad()
def test_a_guided_step_is_the_same_from_one_condition_as_from_one_made_anew_each_time():
    net, (x, mask, reference) = network(), batch()
    guided, uncached = Guided(net, 3.0).eval(), Guided(network(cache_max_size=0), 3.0).eval()
    condition = guided.encode(mask, reference)
    for t in (torch.tensor([900]), torch.tensor([3])):
        assert close(guided.denoise(x, t, condition), uncached(x, t, mask, reference))


@torch.no_grad()
def test_the_encoder_sees_a_reference_once_however_many_steps_and_samples_there_are():
    net, (_, mask, reference), runs = network(), batch(), []
    net.reference_encoder.register_forward_hook(lambda *_: runs.append(1))
    inferer = ImageInferer(NoiseSchedule("cosine", 1000), sampler="ddim", steps=3, samples=2)
    inferer.generate(mask, reference, Guided(net).eval())
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 1, 8, 8), r"reference has shape \(2, 1, 8, 8\), expected \(B, 3, h, w\): read it as the images"),
        ((2, 6), r"reference has shape \(2, 6\), expected \(B, 3, h, w\)"),
        ((1, 3, 8, 8), "Found 1 references for 2 masks"),
    ],
)
def test_references_that_do_not_fit_are_refused(shape, words):
    _, mask, _ = batch()
    with pytest.raises(ValueError, match=words):
        network().encode(mask, torch.ones(shape))


def test_an_encoder_that_would_be_trained_is_refused():
    with pytest.raises(ValueError, match="would be trained with DSDM: give it frozen=True"):
        DSDMWithReference(ReferenceEncoder(embedding=6, width=4, frozen=False), **SMALL)
