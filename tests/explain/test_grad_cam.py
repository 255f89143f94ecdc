"""Grad-CAM: on the lesion where a network looks at the lesion, for every image, and without a trace in the network."""

import pytest
import torch
from monai.visualize import GradCAM
from torch import nn

from noise2mask.explain.grad_cam import heat_map, heat_maps, matching_layers, scaled


class Detector(nn.Module):
    """Its features are bright spots (channel 0) and dark ones; its score sees the bright ones alone."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 2, 1, bias=False)
        self.features.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.rectified = nn.ReLU(inplace=True)
        self.pair = nn.Identity()

    def forward(self, x):
        maps = self.rectified(self.features(x))
        self.pair((maps, maps))
        return maps[:, :1].mean(dim=(2, 3))


def images():
    """Three with a bright spot at (b, b) and a dark one at (5, 0)."""
    x = torch.zeros(3, 1, 6, 6)
    for b in range(3):
        x[b, 0, b, b], x[b, 0, 5, 0] = 1, -1
    return x


def heat(layer="rectified", x=None, network=None):
    network = network or Detector()
    return heat_maps(network, [layer], lambda: network(images() if x is None else x)[:, 0])[layer]


def test_a_planted_detector_s_map_lies_on_the_lesion_of_each_image_not_of_the_first_alone():
    maps = heat()
    assert maps.shape == (3, 6, 6)
    for b, own in enumerate(scaled(maps)):
        assert own[b, b] == 1 and own.sum() == 1


def test_the_map_is_monai_s_before_that_is_inverted():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()
    x = torch.randn(1, 1, 8, 8)
    own = heat_maps(network, ["1"], lambda: network(x)[:, 2])["1"]
    theirs = GradCAM(network, "1", postprocessing=lambda heat: heat).compute_map(x, class_idx=2)[:, 0]
    assert torch.allclose(own, theirs, atol=1e-6) and own.max() > 0


def test_a_map_by_hand():
    activation = torch.tensor([[[[1.0, 2.0]], [[3.0, 1.0]]]])  # two channels of 1 x 2
    gradient = torch.tensor([[[[1.0, 3.0]], [[-1.0, -1.0]]]])  # weights 2 and -1
    heat = heat_map(activation, gradient)
    assert heat.tolist() == [[[0.0, 3.0]]] and scaled(heat).tolist() == [[[0.0, 1.0]]]  # 2 - 3 < 0, 4 - 1 = 3


def test_an_image_whose_score_nothing_raises_has_a_map_of_zeros():
    assert not heat(x=torch.zeros(2, 1, 6, 6)).any()


def test_before_a_norm_of_single_channels_a_map_is_zero_and_no_rounding():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 1, 3)).eval()
    x = torch.randn(2, 1, 12, 12)
    maps = heat_maps(network, ["0", "1"], lambda: network(x).square().sum(dim=(1, 2, 3)))
    assert not maps["0"].any() and maps["1"].any()


def test_nothing_is_left_in_the_network():
    network = Detector().train()
    network.features.weight.grad = torch.full_like(network.features.weight, 7)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    heat(network=network)
    assert network.training and (network.features.weight.grad == 7).all()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_frozen_network_under_no_grad_has_maps_too():
    network = Detector().requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(heat(network=network), heat())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_hooks_go_when_the_network_fails():
    network = Detector()
    with pytest.raises(RuntimeError):
        heat(x=torch.zeros(1, 3, 6, 6), network=network)
    assert not any(module._forward_hooks for module in network.modules())


def test_layers_come_in_the_order_in_which_they_are_evaluated():
    network = nn.ModuleDict({"last": nn.Conv2d(1, 1, 1), "first": nn.Conv2d(1, 1, 1)})
    score = lambda: network["last"](network["first"](torch.ones(1, 1, 2, 2))).sum(dim=(1, 2, 3))  # noqa: E731
    assert list(heat_maps(network, ["last", "first"], score)) == ["first", "last"]


def test_a_layer_that_does_not_exist_is_told_with_those_that_do():
    with pytest.raises(ValueError, match=r"Detector has no layer 'featurs'.*features.*Did you mean features"):
        heat("featurs")


def test_a_layer_that_gives_no_map_or_does_not_count_is_refused():
    with pytest.raises(ValueError, match="pair gives a tuple; expected one feature map"):
        heat("pair")
    network = nn.ModuleDict({"used": nn.Conv2d(1, 1, 1), "idle": nn.Conv2d(1, 1, 1), "aside": nn.Conv2d(1, 1, 1)})
    x = torch.ones(1, 1, 2, 2)

    def score():
        network["aside"](x)
        return network["used"](x).sum(dim=(1, 2, 3))

    with pytest.raises(ValueError, match="idle takes no part"):
        heat_maps(network, ["idle"], score)
    with pytest.raises(ValueError, match="aside does not influence"):
        heat_maps(network, ["aside"], score)


def test_a_star_stands_for_one_part_of_a_name():
    network = nn.ModuleDict({"up": nn.Sequential(nn.Sequential(nn.ReLU()), nn.ReLU()), "middle": nn.ReLU()})
    assert matching_layers(network, ["middle", "up.*"]) == ["middle", "up.0", "up.1"]
    with pytest.raises(ValueError, match=r"no layer 'down\.\*'"):
        matching_layers(network, ["down.*"])
