"""Prior-supervision network: sizes of its maps, and what each head sees."""

import torch

from noise2mask.networks.prior_supervision import PriorSupervision


def prior(in_channels=1):
    torch.manual_seed(0)
    return PriorSupervision(in_channels, (8, 8, 16, 24)).eval()


def test_every_unit_halves_the_size():
    maps = prior().features(torch.randn(2, 1, 32, 16))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 16, 8), (2, 16, 8, 4), (2, 24, 4, 2)]


def test_it_returns_logits_of_class_and_place():
    out = prior()(torch.randn(2, 1, 32, 32))
    assert out["classification"].shape == (2, 1)
    assert out["location"].shape == (2, 1, 8, 8)


def test_the_class_comes_from_the_last_unit_and_the_place_from_the_one_before():
    network = prior()
    *_, penultimate, last = network.features(image := torch.randn(2, 1, 32, 32))
    out = network(image)
    assert torch.allclose(out["classification"], network.classifier(last.mean(dim=(2, 3))))
    assert torch.equal(out["location"], network.localiser(penultimate))


def test_the_released_form_has_four_convolutions_per_unit_and_a_longer_stem():
    network = PriorSupervision(1, (8, 8, 16, 24), classes=3, depth="released")
    convolutions = [
        sum(isinstance(m, torch.nn.Conv2d) for m in part.modules()) for part in (network.stem, *network.units)
    ]
    assert convolutions == [5, 4, 4, 4]
    out = network.eval()(torch.randn(2, 1, 32, 32))
    assert out["classification"].shape == (2, 3) and out["features"].shape == (2, 24, 4, 4)


def test_images_do_not_see_each_other_in_eval_mode():
    network, images = prior(), torch.randn(3, 1, 16, 16)
    assert torch.allclose(network(images)["location"][1:2], network(images[1:2])["location"], atol=1e-6)
