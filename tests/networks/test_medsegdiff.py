"""MedSegDiff: any size and number of axes, caches that change nothing, the switches of the ablation, the presets."""

from itertools import combinations, product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.losses.diffusion_loss import DiffusionLoss
from noise2mask.networks.medsegdiff import MedSegDiff

from . import configs

CONFIGS = Path(__file__).parents[2] / "bundles" / "medsegdiff" / "configs"
SIZES = {"s": 4, "b": 5, "l": 6, "plus_plus": 6}  # downsamplings of section III-B
SWITCHES = [(gate, parser) for gate in ("tanh", "exact", "residual", "none") for parser in (True, False)]
T = torch.tensor([3, 900])
COMPACT = configs.network_def("medsegdiff")


def preset(name):
    return configs.preset("medsegdiff", name)


def network(**options):
    """A small one whose zeroed convolutions and identical filters are scrambled, so that every part matters."""
    torch.manual_seed(0)
    small = {"base": 4, "blocks": (1, 1, 2, 1), "decoder_blocks": 1, "downsamplings": 4, "num_groups": 2, "grid": 4}
    net = MedSegDiff(**small | options).eval()
    for weight in net.parameters():
        weight.data += 0.1 * torch.randn(weight.shape)
    return net


def batch(images=2, samples=1, size=(16, 16), channels=1):
    torch.manual_seed(1)
    return torch.randn(images * samples, 1, *size), torch.randn(images, channels, *size).clamp(-1, 1)


# Shapes


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (16, 32)),
        ({}, (17, 5)),
        ({"in_channels": 4, "out_channels": 3, "downsamplings": 5}, (33, 20)),
        ({"spatial_dims": 3}, (16, 16, 16)),
        ({"spatial_dims": 3, "in_channels": 2}, (9, 17, 4)),
    ],
)
def test_the_prediction_has_the_noisy_mask_s_shape(options, size):
    classes, channels = options.get("out_channels", 1), options.get("in_channels", 1)
    x, image = torch.randn(2, classes, *size), torch.randn(2, channels, *size)
    with torch.no_grad():
        assert network(**options)(x, T, image).shape == x.shape
        assert network(**options, learn_sigma=True)(x, T, image).shape == (2, 2 * classes, *size)


def test_any_size_is_padded_by_its_border_at_the_far_ends_and_cropped_back():
    net, (x, image) = network(), batch(size=(17, 5))
    padded = [F.pad(whole, (0, 11, 0, 15), mode="replicate") for whole in (x, image)]
    with torch.no_grad():
        expected = net(padded[0], T, padded[1])[..., :17, :5]
        assert torch.allclose(net(x, T, image), expected, atol=1e-6) and expected.std() > 1e-3


def test_another_number_of_channels_is_refused():
    x, image = batch(channels=3)
    with pytest.raises(ValueError, match=r"has 3 channels, this network takes 1: change in_channels"):
        network()(x, T, image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"downsamplings": 3}, "downsamplings is 3, expected 4 or more"),
        ({"blocks": (1, 2, 3)}, r"blocks is \[1, 2, 3\], expected 4 numbers"),
        ({"dynamic_encoding": "eq3"}, "gate is 'eq3'"),
    ],
)
def test_impossible_networks_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        network(**options)


# Presets


def test_the_compact_preset_has_at_most_two_million_parameters():
    assert sum(parameter.numel() for parameter in MedSegDiff(**COMPACT).parameters()) <= 2_000_000


@pytest.mark.parametrize("name", SIZES)
def test_presets_have_the_paper_s_downsamplings(name):
    assert preset(name)["downsamplings"] == SIZES[name]
    assert set(preset(name)) == set(COMPACT), "the overlay names an argument that train.yaml does not set"
    with torch.device("meta"):
        net = MedSegDiff(**preset(name))
    million = round(sum(parameter.numel() for parameter in net.parameters()) / 1e6)
    assert f"{million} million parameters" in (CONFIGS / "presets" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["s", "b", "l"])
def test_presets_predict(name):
    x, image = batch(images=1, size=(64, 64))
    with torch.no_grad():
        assert MedSegDiff(**preset(name)).eval()(x, T[:1], image).shape == x.shape


def test_the_largest_preset_predicts_at_an_eighth_of_its_width():
    x, image = batch(images=1, size=(64, 64))  # whole, its 3.3 GB alone take minutes to be drawn on a busy CPU
    net = MedSegDiff(**preset("plus_plus") | {"base": preset("plus_plus")["base"] // 8}).eval()
    with torch.no_grad():
        assert net(x, T[:1], image).shape == x.shape


def test_the_paper_s_preset_is_equation_3_and_figure_1():
    paper = preset("paper")
    assert paper["dynamic_encoding"] == "exact" and paper["ff_parser"] and not paper["condition_skips"]
    assert not paper["mask_gain"]


# Figure 1


def test_two_encoders_of_three_stages_meet_after_the_first_and_the_second():
    net = MedSegDiff(**preset("b"))
    for encoder in (net.image_encoder, net.mask_encoder):
        assert [len(stage) for stage in encoder.stages] == [3, 4, 6]
    assert [gate.image_norm.normalized_shape for gate in net.gates] == [(64,), (128,)]
    assert [parser.weight.shape[0] for parser in net.parsers] == [64, 128]


def test_at_the_start_the_prediction_is_zero():
    x, image = batch()
    with torch.no_grad():
        assert not MedSegDiff(**COMPACT).eval()(x, T, image).any()


@pytest.mark.parametrize("gain", [False, True])
def test_with_gains_it_begins_as_a_network_that_segments_the_image(gain):
    net, (x, image) = MedSegDiff(**COMPACT | {"mask_gain": gain}).eval(), batch()
    torch.nn.init.normal_(net.decoder.output[-1].weight)  # else the prediction is zero
    with torch.no_grad():
        out = net(x, T, image)
        assert torch.equal(net(-x, T, image), out) is gain
        assert not torch.allclose(net(x, T, -image), out)


def test_image_timestep_and_noisy_mask_all_matter():
    net, (x, image) = network(), batch()
    with torch.no_grad():
        out = net(x, T, image)
        others = net(x, T, -image), net(x, T + 50, image), net(-x, T, image)
    assert all((other - out).abs().max() > 1e-3 for other in others)


def test_every_switch_of_the_ablation_changes_the_prediction_of_the_same_weights():
    (x, image), state, outs = batch(), network().state_dict(), []
    for gate, parser in SWITCHES:
        for skips, gain in product((False, True), repeat=2):
            net = network(dynamic_encoding=gate, ff_parser=parser, condition_skips=skips, mask_gain=gain)
            assert not net.load_state_dict(state, strict=False).missing_keys
            with torch.no_grad():
                outs.append(net(x, T, image))
    assert not [pair for pair in combinations(outs, 2) if torch.allclose(*pair, atol=1e-4)]


@pytest.mark.parametrize("skips", [False, True])
def test_past_the_sum_the_image_reaches_the_decoder_by_the_skips_alone(skips):
    net, (x, image) = network(dynamic_encoding="none", ff_parser=False, condition_skips=skips), batch()
    with torch.no_grad():
        net.image_encoder.downs[2].weight.zero_()
        net.image_encoder.downs[2].bias.zero_()
        assert torch.equal(net(x, T, image), net(x, T, -image)) is not skips


# Caches


@pytest.mark.parametrize("t", [torch.tensor([500]), T])
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize(("gate", "parser"), SWITCHES)
def test_samples_in_one_batch_equal_a_loop_without_a_cache(t, ours, gate, parser):
    net = network(dynamic_encoding=gate, ff_parser=parser, condition_skips=ours, mask_gain=ours)
    x, image = batch(images=2, samples=3, size=(16, 20))
    with torch.no_grad():
        together = net.denoise(x, t, net.encode(image))
        for m, one in enumerate(together):
            own = t if len(t) == 1 else t[m // 3][None]
            assert torch.allclose(one, net(x[m : m + 1], own, image[m // 3][None])[0], atol=1e-5)


def test_the_first_stage_of_the_image_is_computed_once_and_sees_no_timestep():
    net, (x, image) = network(), batch()
    calls = []
    net.image_encoder.stages[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        condition = net.encode(image)
        for t in (3, 500, 900):
            net.denoise(x, torch.tensor([t]), condition)
    assert len(calls) == 1 and set(condition) == {"stage1"}


def test_the_same_weights_and_input_give_the_same_bits():
    net, (x, image) = network(), batch()
    with torch.no_grad():
        assert torch.equal(net(x, T, image), net(x, T, image))


# Training


def test_training_returns_a_dict_and_evaluation_a_tensor():
    net, (x, image) = network(), batch()
    assert set(net.train()(x, T, image)) == {"prediction"}
    assert isinstance(net.eval()(x, T, image), torch.Tensor)


@pytest.mark.parametrize(("gate", "parser"), SWITCHES)
def test_the_loss_reaches_every_weight(gate, parser):
    net, (_, image) = network(dynamic_encoding=gate, ff_parser=parser).train(), batch()
    prepare = PrepareDiffusion(NoiseSchedule(), "x0", 0.3)
    label = (torch.rand(2, 1, 16, 16) > 0.5).float()
    x, target, _, arguments = prepare({"image": image, "label": label}, torch.device("cpu"))
    DiffusionLoss("x0", 0.3, 1.0)(net(x, **arguments), target).backward()
    assert not [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
