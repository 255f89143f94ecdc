"""MedSegDiff-V2: any size and number of axes, caches that change nothing, the switches of the ablation, the anchor."""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from noise2mask.networks.medsegdiff_v2 import MedSegDiffV2

T = torch.tensor([3, 900])
SWITCHES = [
    {"anchor": "none", "semantic": "sum"},
    {"anchor": "sa", "semantic": "sum"},
    {"anchor": "u_sa", "semantic": "sum"},
    {"anchor": "u_sa", "semantic": "ss_former", "nbp_filter": False},
    {"anchor": "u_sa", "semantic": "ss_former", "nbp_filter": True},
    {"anchor": "u_sa", "semantic": "ss_former", "nbp_filter": True, "anchor_levels": 2},
]  # the rows of the paper's ablation, then both arrows of its figure
SMALL = {"base": 4, "multipliers": (1, 2, 2, 4), "blocks": 1, "num_groups": 2, "former_blocks": 2, "heads": 2}


def network(**options):
    """A small one whose zeroed layers are scrambled, so that every part matters."""
    torch.manual_seed(0)
    net = MedSegDiffV2(**SMALL | options).eval()
    for weight in net.parameters():
        weight.data += 0.1 * torch.randn(weight.shape)
    return net


def batch(images=2, samples=1, size=(32, 32), classes=1):
    torch.manual_seed(1)
    return torch.randn(images * samples, classes, *size), torch.randn(images, 1, *size).clamp(-1, 1)


# Shapes


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (16, 32)),
        ({}, (17, 5)),
        ({"in_channels": 4, "out_channels": 3, "exclusive": True}, (33, 20)),
        ({"spatial_dims": 3, "in_channels": 2, "out_channels": 3}, (9, 33, 4)),
    ],
)
def test_prediction_and_anchor_have_the_noisy_mask_s_shape(options, size):
    classes, channels = options.get("out_channels", 1), options.get("in_channels", 1)
    x, image, net = torch.randn(2, classes, *size), torch.randn(2, channels, *size), network(**options)
    with torch.no_grad():
        assert net(x, T, image).shape == net.coarse(net.encode(image)).shape == x.shape


def test_any_size_is_padded_by_its_border_at_the_far_ends_and_cropped_back():
    net, (x, image) = network(), batch(size=(17, 5))
    padded = [F.pad(whole, (0, 11, 0, 15), mode="replicate") for whole in (x, image)]
    with torch.no_grad():
        expected = net(padded[0], T, padded[1])[..., :17, :5]
        assert torch.allclose(net(x, T, image), expected, atol=1e-6) and expected.std() > 1e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"anchor": "usa"}, "anchor is 'usa', expected one of u_sa, sa, none"),
        ({"semantic": "former"}, "semantic is 'former', expected one of ss_former, sum"),
        ({"anchor_levels": 5}, "anchor_levels is 5, expected 0 to 4"),
        ({"exclusive": True}, "exclusive classes need 2 channels or more"),
        ({"heads": 3}, "expected a multiple of its 3 heads"),
    ],
)
def test_impossible_networks_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        network(**options)


def test_another_number_of_channels_is_refused():
    x, image = batch()
    with pytest.raises(ValueError, match=r"has 3 channels, this network takes 1: change in_channels"):
        network()(x, T, image.expand(-1, 3, -1, -1))


# Figure 2


def test_at_the_start_prediction_and_logits_are_zero_and_the_former_adds_the_image_s_features():
    net, (x, image) = MedSegDiffV2(**SMALL).train(), batch()
    out = net(x, T, image)
    assert not out["prediction"].any() and not out["logits"].any()
    e, condition = torch.randn(2, 16, 2, 2), net.encode(image)
    assert torch.equal(net._met(e, net.time(T), condition), e + condition["c"])


def test_image_timestep_and_noisy_mask_all_matter():
    net, (x, image) = network(), batch()
    with torch.no_grad():
        out = net(x, T, image)
        others = net(x, T, -image), net(x, T + 50, image), net(-x, T, image)
    assert all((other - out).abs().max() > 1e-4 for other in others)


def test_the_anchor_sees_neither_timestep_nor_noisy_mask_and_is_a_share_of_exclusive_classes():
    net, (x, image) = network(out_channels=3, exclusive=True).train(), batch(classes=3)
    logits = net(x, T, image)["logits"]
    assert torch.equal(net(-x, T + 50, image)["logits"], logits) and not torch.allclose(logits[0], logits[1])
    shares = net.coarse(net.encode(image))
    assert torch.allclose(shares.sum(dim=1), torch.ones(2, 32, 32)) and torch.equal(shares, logits.softmax(dim=1))


def test_every_switch_of_the_ablation_changes_the_prediction_of_the_same_weights():
    (x, image), state, outs = batch(), network(anchor_levels=2).state_dict(), []
    for options in SWITCHES:
        net = network(**options)
        assert not net.load_state_dict(state, strict=False).missing_keys
        with torch.no_grad():
            outs.append(net(x, T, image))
    assert not [pair for pair in combinations(outs, 2) if torch.allclose(*pair, atol=1e-5)]


def test_the_image_reaches_the_prediction_by_gates_and_bottleneck_alone():
    net, (x, image) = network(semantic="sum"), batch()
    with torch.no_grad():
        condition = net.encode(image)
        other = net.encode(-image)
        assert not torch.equal(net.denoise(x, T, condition), net.denoise(x, T, other))
        met = other.extended({name: condition[name] for name in ("c", "gate_0")})
        assert torch.equal(net.denoise(x, T, condition), net.denoise(x, T, met))


# Caches


@pytest.mark.parametrize("t", [torch.tensor([500]), T])
@pytest.mark.parametrize("options", SWITCHES)
def test_samples_in_one_batch_equal_a_loop_without_a_cache(t, options):
    net = network(**options)
    x, image = batch(images=2, samples=3, size=(16, 20))
    with torch.no_grad():
        together = net.denoise(x, t, net.at(net.encode(image), t))
        for m, one in enumerate(together):
            own = t if len(t) == 1 else t[m // 3][None]
            assert torch.allclose(one, net(x[m : m + 1], own, image[m // 3][None])[0], atol=1e-5)


def test_the_condition_model_runs_once_per_image_and_the_filters_once_per_step():
    net, (x, image) = network(), batch(samples=4)
    calls = {"condition": 0, "filter": 0}
    net.condition.middle.register_forward_hook(lambda *_: calls.update(condition=calls["condition"] + 1))
    net.former.filter.register_forward_hook(lambda *_: calls.update(filter=calls["filter"] + 1))
    with torch.no_grad():
        condition = net.encode(image)
        for t in (3, 500, 900):
            at = net.at(condition, torch.tensor([t]))
            for _ in range(2):  # chunks of samples
                net.denoise(x, torch.tensor([t]), at)
    assert calls == {"condition": 1, "filter": 3}


@pytest.mark.parametrize("options", SWITCHES)
def test_the_same_call_twice_is_equal_to_the_last_bit(options):
    net, (x, image) = network(**options), batch()
    with torch.no_grad():
        first, second = net(x, T, image), net(x, T, image)
    assert torch.equal(first, second) and first.any()


def test_filters_of_another_timestep_are_refused():
    net, (x, image) = network(), batch()
    with pytest.raises(ValueError, match=r"belongs to the timesteps \[3\], not to \[900, 900\]"):
        net.denoise(x, torch.tensor([900, 900]), net.at(net.encode(image), T[:1]))


# Training


@pytest.mark.parametrize("options", SWITCHES)
def test_a_loss_of_prediction_and_anchor_reaches_every_weight(options):
    net, (x, image) = network(**options).train(), batch()
    out = net(x, T, image)
    (out["prediction"].square().mean() + out["logits"].sigmoid().log().mean()).backward()
    assert not [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_the_loss_of_the_noise_alone_reaches_the_condition_model_soon():
    """Zeroed projections without a residual would leave it without a gradient for ever (decision: residuals)."""
    net, (x, image) = MedSegDiffV2(**SMALL).train(), batch()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        (net(x, T, image)["prediction"] - 1).square().mean().backward()
        optimiser.step()
    assert net.condition.encoder.stem.weight.grad.abs().max() > 1e-7
