"""PGDiffSeg: shapes, caches that change nothing, a prior that stays frozen, and names of weights that stay."""

import hashlib
from pathlib import Path

import pytest
import torch

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.losses.diffusion_loss import DiffusionLoss
from noise2mask.metrics.overlap import count, overlap
from noise2mask.networks.pgdiffseg import PGDiffSeg

from . import configs

CONFIGS = Path(__file__).parents[2] / "bundles" / "pgdiffseg" / "configs"
COMPACT = configs.network_def("pgdiffseg")


def preset(name):
    return configs.preset("pgdiffseg", name)


def network(**options):
    torch.manual_seed(0)
    net = PGDiffSeg(**{"base": 8, "multipliers": (1, 2), **options}).eval()
    for gain in (gain for psa in net.psa for gain in psa.gain.values()):
        gain.data.fill_(0.5)  # else PSA is the identity and tests nothing
    return net


def batch(images=2, samples=1, size=16):
    torch.manual_seed(1)
    return torch.randn(images * samples, 1, size, size), torch.randn(images, 1, size, size).clamp(-1, 1)


# Shapes and size


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (16, 24)),
        (COMPACT, (32, 32)),
        ({"base": 16, "multipliers": (2, 4, 8, 8)}, (16, 16)),
        ({"base": 8, "multipliers": (1, 2, 2), "dense_norm": "group", "num_groups": 4, "dense_layers": 1}, (16, 8)),
        ({"in_channels": 3, "out_channels": 2}, (8, 8)),
    ],
)
def test_the_prediction_has_the_noisy_mask_s_shape(options, size):
    net = network(**options)
    x = torch.randn(2, options.get("out_channels", 1), *size)
    image = torch.randn(2, options.get("in_channels", 1), *size)
    with torch.no_grad():
        assert net(x, torch.tensor([3, 900]), image).shape == x.shape


def test_the_compact_preset_has_at_most_two_million_parameters():
    assert sum(parameter.numel() for parameter in PGDiffSeg(**COMPACT).parameters()) <= 2_000_000


@pytest.mark.parametrize(
    ("name", "parameters"), [("paper", 157_530_474), ("released", 182_755_692), ("small", 17_314_426)]
)
def test_presets_have_their_number_of_parameters(name, parameters):
    with torch.device("meta"):
        net = PGDiffSeg(**preset(name))
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert all(name in COMPACT for name in preset(name)), "the overlay names an argument that train.yaml does not set"


@pytest.mark.parametrize("name", ["paper", "released"])
def test_presets_predict_at_a_tenth_of_their_width(name):
    net = PGDiffSeg(**preset(name) | {"base": 8}).eval()
    x, image = torch.randn(2, 1, 16, 16), torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert net(x, torch.tensor([3, 200]), image).shape == x.shape
    assert net.prior(image)["classification"].shape == (2, preset(name)["prior_classes"])


def test_the_readme_and_the_benchmark_build_the_compact_network():
    root, expected = CONFIGS.parents[2], PGDiffSeg(**COMPACT).state_dict()
    call = "PGDiffSeg(base=8, multipliers=(2, 4, 8, 12), dense_layers=2, num_groups=4)"
    assert all(call in (root / name).read_text() for name in ("README.md", "benchmarks/sampling.py"))
    state = PGDiffSeg(base=8, multipliers=(2, 4, 8, 12), dense_layers=2, num_groups=4).state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        name: value.shape for name, value in expected.items()
    }


def test_weights_of_the_compact_preset_keep_their_names_and_shapes():
    state = PGDiffSeg(**COMPACT).state_dict()
    text = "\n".join(f"{name} {tuple(value.shape)}" for name, value in sorted(state.items()))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "33ceb861f0967237", "published weights no longer load"


def test_a_size_that_is_no_multiple_is_refused():
    with pytest.raises(ValueError, match=r"\(16, 18\); this network needs multiples of 4"):
        network().encode(torch.zeros(1, 1, 16, 18))


# Forward, caches, samples


def test_forward_is_denoise_after_encode():
    net, (x, image) = network(), batch()
    t = torch.tensor([3, 900])
    assert torch.equal(net(x, t, image), net.denoise(x, t, net.encode(image)))


@pytest.mark.parametrize("t", [[700], [700, 3]])
def test_cached_equals_uncached(t):
    net, (x, image) = network(), batch(samples=3)
    t = torch.tensor(t)
    condition = net.encode(image)
    cached = net.denoise(x, t, net.at(condition, t))
    assert (cached - net.denoise(x, t, condition)).abs().max() <= 1e-6
    assert "flow" not in condition


@pytest.mark.parametrize("t", [[700], [700, 3]])
def test_samples_in_one_batch_equal_a_loop(t):
    net, (x, image) = network(), batch(samples=3)
    t = torch.tensor(t)
    together = net.denoise(x, t, net.encode(image))
    for index in range(6):
        image_t = t[index // 3 :][:1] if len(t) > 1 else t
        alone = net(x[index : index + 1], image_t, image[index // 3][None])
        assert torch.allclose(together[index], alone[0], atol=1e-5)


def test_image_timestep_and_noisy_mask_all_matter():
    net, (x, image) = network(), batch(images=1)
    t = torch.tensor([500])
    out = net(x, t, image)
    for other in (net(x + 0.5, t, image), net(x, t - 400, image), net(x, t, image.flip(3))):
        assert (other - out).abs().max() > 1e-4


def test_the_prior_joins_both_flows_before_the_bottleneck():
    net, (x, image) = network(), batch()
    condition = net.at(net.encode(image), t := torch.tensor([500]))
    moved = condition.extended(
        {"prior": torch.zeros_like(condition["prior"]), "flow": condition["flow"] + condition["prior"]}
    )
    assert torch.allclose(net.denoise(x, t, moved), net.denoise(x, t, condition), atol=1e-5)
    without = condition.extended({"prior": torch.zeros_like(condition["prior"])})
    assert (net.denoise(x, t, without) - net.denoise(x, t, condition)).abs().max() > 1e-4


def test_the_coarse_mask_is_the_prior_s_map_at_full_size():
    net, (_, image) = network(), batch()
    coarse = net.coarse(net.encode(image))
    assert coarse.shape == (2, 1, 16, 16) and 0 <= coarse.min() and coarse.max() <= 1
    location = net.prior(image)["location"].sigmoid()
    assert torch.allclose(coarse.mean(), location.mean(), atol=0.02)


def test_the_prior_joins_after_the_bottleneck_with_its_factor():
    net, (x, image) = network(prior_position="after", prior_scale=0.2), batch()
    condition, t = net.encode(image), torch.tensor([500])
    five, none = condition.extended({"prior": 5 * condition["prior"]}), torch.zeros_like(condition["prior"])
    full = network(prior_position="after", prior_scale=1.0)
    assert torch.allclose(net.denoise(x, t, five), full.denoise(x, t, full.encode(image)), atol=1e-5)
    # whatever the bottleneck does, it does not see the prior
    seen = []
    net.bottleneck.register_forward_hook(lambda module, inputs, output: seen.append(output))
    net.denoise(x, t, condition), net.denoise(x, t, condition.extended({"prior": none}))
    assert torch.equal(*seen)


# Flows that exchange features, and a condition flow without time


@pytest.mark.parametrize("exchange", ["map", "query"])
@pytest.mark.parametrize("t", [[700], [700, 3]])
def test_exchanging_flows_cache_the_stem_alone_and_samples_equal_a_loop(exchange, t):
    net, (x, image) = network(psa_exchange=exchange), batch(samples=3)
    t = torch.tensor(t)
    condition = net.at(net.encode(image), t)
    assert "flow" not in condition, "the condition flow sees the noisy mask: it must not be shared"
    together = net.denoise(x, t, condition)
    for index in range(6):
        image_t = t[index // 3 :][:1] if len(t) > 1 else t
        alone = net(x[index : index + 1], image_t, image[index // 3][None])
        assert torch.allclose(together[index], alone[0], atol=1e-5)


def test_an_exchange_changes_the_prediction_and_the_condition_flow_sees_the_mask():
    predictions = []
    for exchange in ("none", "map", "query"):
        net, (x, image) = network(psa_exchange=exchange), batch()
        predictions.append(net(x, torch.tensor([500]), image))
    assert all((a - b).abs().max() > 1e-5 for a, b in ((predictions[0], p) for p in predictions[1:]))


def test_a_condition_flow_without_time_is_computed_once_per_image():
    net, (x, image) = network(timed_condition=False), batch(samples=2)
    condition = net.encode(image)
    assert "flow" in condition and net.at(condition, torch.tensor([500])) is condition
    assert (
        net.denoise(x, torch.tensor([3]), condition) - net.denoise(x, torch.tensor([900]), condition)
    ).abs().max() > 1e-4
    with torch.no_grad():
        assert torch.equal(net.encode(image)["flow"], condition["flow"])


@pytest.mark.parametrize("exchange", ["none", "map"])
def test_with_gains_the_noisy_mask_comes_in_as_they_grow(exchange):
    net = network(mask_gain=True, psa_exchange=exchange)
    x, image = batch()
    t = torch.tensor([7, 60])
    if exchange == "none":  # else the condition flow sees the mask in the attention
        assert torch.equal(net(x, t, image), net(torch.zeros_like(x), t, image))
    for gain in net.gains:
        gain.gain[1].bias.data.fill_(1.0)
    assert not torch.allclose(net(x, t, image), net(torch.zeros_like(x), t, image))
    plain = network(psa_exchange=exchange)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("gain")})
    assert torch.allclose(net(x, t, image), plain(x, t, image), atol=1e-5)  # gains of 1 are figure 2


def test_gains_follow_the_timestep_and_samples_share_that_of_their_image():
    net = network(mask_gain=True)
    for gain in net.gains:
        gain.gain[1].weight.data.normal_()
    weighed = [net._weighed(1, torch.ones(1, 1, 1, 1), net._gain_embedding(torch.tensor([t]))) for t in (7, 60)]
    assert not torch.allclose(*weighed)
    x, image = batch(samples=3)
    condition = net.encode(image)
    together = net.denoise(x, torch.tensor([60]), condition)
    alone = [net.denoise(x[n::3], torch.tensor([60]), condition) for n in range(3)]
    assert torch.allclose(together, torch.stack(alone, dim=1).flatten(0, 1), atol=1e-5)


def test_unknown_choices_are_refused():
    for options in (
        {"prior_position": "between"},
        {"psa_axis": "both"},
        {"prior_depth": "deep"},
        {"output_norm": "no"},
    ):
        with pytest.raises(ValueError, match=next(iter(options.values()))):
            network(**options)


# What a condition refuses


def test_a_condition_refuses_another_size():
    net, (_, image) = network(), batch()
    with pytest.raises(ValueError, match="does not fit the condition"):
        net.denoise(torch.zeros(2, 1, 8, 8), torch.tensor([3]), net.encode(image))


def test_a_condition_refuses_a_batch_that_is_no_multiple():
    net, (_, image) = network(), batch()
    with pytest.raises(ValueError, match="2 encoded images"):
        net.denoise(torch.zeros(3, 1, 16, 16), torch.tensor([3]), net.encode(image))


@pytest.mark.parametrize("training", [True, False])
def test_a_condition_refuses_the_other_mode(training):
    net, (x, image) = network(), batch()
    condition = net.train(training).encode(image)
    with pytest.raises(ValueError, match="another mode"):
        net.train(not training).denoise(x, torch.tensor([3]), condition)


def test_a_condition_refuses_another_image():
    net, (_, image) = network(), batch()
    condition = net.encode(image)
    condition.check_image(image.clone())
    with pytest.raises(ValueError, match="another image"):
        condition.check_image(image + 1)


@pytest.mark.parametrize("other", [[3], [900, 3]])
def test_a_condition_refuses_other_timesteps(other):
    net, (x, image) = network(), batch()
    condition = net.at(net.encode(image), torch.tensor([900]))
    with pytest.raises(ValueError, match=r"belongs to the timesteps \[900\], not to"):
        net.denoise(x, torch.tensor(other), condition)
    same = net.denoise(x, torch.tensor([900]), condition)  # another tensor of the same timesteps, also one per image
    assert torch.allclose(net.denoise(x, torch.tensor([900, 900]), condition), same, atol=1e-5)


# Training


def test_training_returns_a_dict_and_evaluation_a_tensor():
    net, (x, image) = network(), batch()
    t = torch.tensor([3, 900])
    assert net.train()(x, t, image)["prediction"].shape == x.shape
    assert isinstance(net.eval()(x, t, image), torch.Tensor)


@pytest.mark.parametrize("gain", [False, True])
def test_the_diffusion_loss_reaches_all_but_the_prior(gain):
    net, (x, image) = network(mask_gain=gain).train(), batch()
    net(x, torch.tensor([3, 900]), image)["prediction"].square().mean().backward()
    without = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in net.named_parameters() if name.startswith("prior.")}


def test_four_ellipses_are_learnt():
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    where = ((5, 5, 3, 2), (10, 6, 2, 4), (6, 10, 4, 3), (10, 10, 3, 3))  # centre and half axes
    inside = [((rows - r) / a) ** 2 + ((columns - c) / b) ** 2 <= 1 for r, c, a, b in where]
    masks = torch.stack(inside)[:, None].float()  # (4, 1, 16, 16)
    torch.manual_seed(2)
    batch = {"image": (masks - 0.5 + 0.3 * torch.randn(4, 1, 16, 16)).clamp(-1, 1), "label": masks}
    schedule, loss = NoiseSchedule(), DiffusionLoss("x0", 0.3, dice_weight=1.0)
    net, prepare = network(dense_layers=1, num_groups=4).train(), PrepareDiffusion(schedule)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(50):
        x, target, _, arguments = prepare(batch, torch.device("cpu"))
        optimizer.zero_grad()
        loss(net(x, **arguments), target).backward()
        optimizer.step()
    found = EnsembleInferer(schedule, steps=2, samples=2)(batch["image"], net) > 0.5
    assert all(overlap(count(*pair))["dice"] > 0.9 for pair in zip(found, masks, strict=True))


def test_a_frozen_prior_stays_in_eval_mode_and_keeps_its_statistics():
    net, (x, image) = network(), batch()
    net.freeze_prior()
    before = {name: value.clone() for name, value in net.prior.state_dict().items()}
    net.train()(x, torch.tensor([3, 900]), image)
    assert net.training and not any(module.training for module in net.prior.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.prior.state_dict().items())


def test_joint_training_gives_logits_that_train_the_prior_alone():
    net, (x, image) = network().train(), batch()
    output = net(x, torch.tensor([3, 900]), image)
    (output["classification"].sum() + output["location"].sum()).backward()
    reached = {name.split(".")[0] for name, parameter in net.named_parameters() if parameter.grad is not None}
    assert reached == {"prior"}


def test_before_it_is_frozen_the_prior_trains_as_usual():
    net = network().train()
    assert net.prior.training
    net.prior(torch.randn(2, 1, 16, 16))["location"].sum().backward()
    assert net.prior.localiser.weight.grad is not None
