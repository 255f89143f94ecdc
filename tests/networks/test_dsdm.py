"""DSDM: conditions and their absence, caches that change nothing, taps, guidance, sizes."""

import pytest
import torch

from noise2mask.layers.spade import SpadeNorm
from noise2mask.networks.dsdm import DSDM
from noise2mask.networks.guidance import Guided

T = torch.tensor([3, 900])
SMALL = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "embedding": 6}
SMALL |= {"attention_levels": (1,), "token_sides": (2,)}


def network(**options):
    """A small one whose zeroed layers are scrambled, so that every part matters."""
    torch.manual_seed(0)
    net = DSDM(**SMALL | options).eval()
    for weight in net.parameters():
        weight.data += 0.1 * torch.randn(weight.shape)
    return net


def batch(images=2, samples=1, size=(4, 6)):
    """Noisy images, one-hot masks and references."""
    torch.manual_seed(1)
    mask = torch.nn.functional.one_hot(torch.randint(0, 3, (images, *size)), 3).movedim(3, 1).float()
    return torch.randn(images * samples, 3, *size), mask, torch.randn(images, 6)


def close(a, b):
    return torch.allclose(a, b, atol=1e-5)


# The network of the paper


@pytest.mark.parametrize(("base", "millions", "alignment"), [(128, 208.97, 20.95), (64, 77.43, 17.86)])
def test_the_paper_s_size_has_18_decoder_entries_and_its_number_of_parameters(base, millions, alignment):
    with torch.device("meta"):
        net = DSDM(base=base)
    counts = {name: weight.numel() / 1e6 for name, weight in net.named_parameters()}
    assert sum(counts.values()) == pytest.approx(millions, abs=0.01) and len(net.decoder) == 18
    assert sum(count for name, count in counts.items() if ".alignment." in name) == pytest.approx(alignment, abs=0.01)
    widths = [entry.block.first.out_channels // base for entry in net.decoder]
    assert widths == [4] * 6 + [2] * 6 + [1] * 6
    assert [i for i, entry in enumerate(net.decoder) if entry.last is not None] == [2, 5, 8, 11, 14]
    assert [i for i, entry in enumerate(net.decoder) if entry.alignment is not None] == list(range(9))


def test_the_width_of_spade_reaches_every_conditioned_entry():
    norms = [module for module in network(spade_hidden=5).modules() if isinstance(module, SpadeNorm)]
    assert len(norms) == 2 * 2 * 4 - 2 and {norm.hidden.out_channels for norm in norms} == {5}


def test_at_the_start_noise_and_variance_are_zero():
    x, mask, reference = batch()
    assert not DSDM(**SMALL)(x, T, mask, reference)["prediction"].any()


@torch.no_grad()
def test_noisy_image_timestep_mask_and_reference_all_matter():
    net, (x, mask, reference) = network(), batch()
    out = net(x, T, mask, reference)
    assert out.shape == (2, 6, 4, 6)
    others = [(-x, T, mask, reference), (x, T + 50, mask, reference), (x, T, mask.roll(1, 1), reference)]
    others.append((x, T, mask, -reference))
    assert all((net(*other) - out).abs().max() > 1e-4 for other in others)


def test_a_loss_of_the_prediction_reaches_every_weight_with_and_without_conditions():
    net, (x, mask, reference) = network().train(), batch()
    reference[0] = 0
    net(x, T, mask, reference)["prediction"].square().mean().backward()
    assert not [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]


# Conditions that are missing


@torch.no_grad()
@pytest.mark.parametrize("missing", ["mask", "reference", "both"])
def test_zeros_equal_a_condition_that_is_not_given(missing):
    net, (x, mask, reference) = network(), batch()
    given = {"context": mask, "reference": reference}
    names = list(given) if missing == "both" else ["context" if missing == "mask" else missing]
    zeros = net(x, T, **given | {name: torch.zeros_like(given[name]) for name in names})
    assert close(zeros, net(x, T, **given | dict.fromkeys(names)))
    assert not close(zeros, net(x, T, **given))


@torch.no_grad()
def test_an_empty_mask_is_kept_as_one_number_per_channel():
    made = network().encode()
    assert {tensor.shape[2:] for name, tensor in made.items() if "key" not in name and "value" not in name} == {(1, 1)}
    assert {tensor.shape[:2] for name, tensor in made.items() if "key" in name} == {(1, 4)}


# Caches and batches


@torch.no_grad()
@pytest.mark.parametrize("t", [torch.tensor([500]), T])
@pytest.mark.parametrize("cache_max_size", [None, 3, 0])
def test_samples_in_one_batch_equal_a_loop_without_a_cache(cache_max_size, t):
    net, (x, mask, reference) = network(cache_max_size=cache_max_size), batch(samples=3)
    condition = net.encode(mask, reference)
    kept = [name for name, made in condition.items() if made.shape[2:] == (4, 6) and not name.startswith("mask")]
    assert bool(kept) == (cache_max_size is None)
    together = net.denoise(x, t, condition)
    for m, one in enumerate(together):
        own = t if len(t) == 1 else t[m // 3][None]
        alone = network(cache_max_size=0)(x[m : m + 1], own, mask[m // 3][None], reference[m // 3][None])
        assert close(one, alone[0])


def test_checkpointing_changes_neither_prediction_nor_gradients():
    x, mask, reference = batch()
    nets = [network(checkpointing=on).train() for on in (False, True)]
    outs = [net(x, T, mask, reference)["prediction"] for net in nets]
    for out in outs:
        out.square().mean().backward()
    assert close(*outs)
    assert all(close(a.grad, b.grad) for a, b in zip(*(net.parameters() for net in nets), strict=True))


@torch.no_grad()
def test_taps_are_the_outputs_inside_a_full_pass_and_nothing_behind_them_is_computed():
    net, (x, mask, reference) = network(), batch()
    condition, seen = net.encode(mask, reference), {}
    for i, entry in enumerate(net.decoder):
        entry.register_forward_hook(lambda _, __, out, i=i: seen.update({i: out}))
    net.denoise(x, T, condition)
    full = dict(seen)
    seen.clear()
    found = net.features(x, T, condition, [2, 0])
    assert list(found) == [0, 2] and list(seen) == [0, 1, 2] and len(full) == 4
    assert all(torch.equal(found[i], full[i]) for i in found)


# Guidance


@torch.no_grad()
@pytest.mark.parametrize("given", ["both", "mask", "reference"])
def test_guidance_with_one_encoder_pass_equals_equation_17_on_two_full_passes(given):
    net, (x, mask, reference) = network(), batch(samples=2)
    mask, reference = mask if given != "reference" else None, reference if given != "mask" else None
    runs = []
    net.stem.register_forward_hook(lambda *_: runs.append(1))
    guided = Guided(net, 3.0).eval()
    found = guided.denoise(x, T, guided.encode(mask, reference))
    assert len(runs) == 1
    own, null = net.denoise(x, T, net.encode(mask, reference)), net(x, T.repeat_interleave(2))
    expected = own[:, :3] + 3 * (own[:, :3] - null[:, :3])
    assert close(found, torch.cat([expected, own[:, 3:]], dim=1)) and not close(own, null)


@torch.no_grad()
def test_w_is_s_plus_1_and_no_guidance_is_the_network_itself():
    net, (x, mask, reference) = network(), batch()
    outs = {key: Guided(net, *key).eval()(x, T, mask, reference) for key in [(3, "paper"), (4, "w"), (0, "paper")]}
    assert close(outs[3, "paper"], outs[4, "w"])
    assert torch.equal(outs[0, "paper"], net(x, T, mask, reference))


def test_guidance_refuses_training_and_unknown_forms():
    net, (x, mask, reference) = network(), batch()
    with pytest.raises(ValueError, match="for sampling, found train mode: train the network that is guided"):
        Guided(net)(x, T, mask, reference)
    with pytest.raises(ValueError, match="guidance_form is 's', expected one of paper, w"):
        Guided(net, form="s")


# What is refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": (2, 3, 5, 6), "context": None}, r"image has size \(5, 6\), expected multiples of 2"),
        ({"x": (2, 1, 4, 6)}, "image has 1 channels, this network takes 3"),
        ({"x": (2, 3, 8, 6)}, "does not fit the condition"),
        ({"context": (2, 3, 5, 6)}, r"mask has size \(5, 6\), expected multiples of 2"),
        ({"context": (2, 4, 4, 6)}, "mask has 4 channels, this network takes 3, one for each class"),
        ({"reference": (2, 7)}, r"reference has shape \(2, 7\), expected \(B, 6\)"),
        ({"reference": (1, 6)}, "Found 1 references for 2 masks"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    x, mask, reference = batch()
    given = {"x": x, "context": mask, "reference": reference}
    with pytest.raises(ValueError, match=words):
        network()(timesteps=T, **given | {name: shape and torch.zeros(shape) for name, shape in change.items()})


def test_levels_and_entries_that_are_not_there_are_refused():
    with pytest.raises(
        ValueError, match=r"attention_levels are \[2\] and token_sides \[2\], expected levels from 0 to 1"
    ):
        network(attention_levels=(2,))
    net, (x, mask, _) = network(), batch()
    with pytest.raises(ValueError, match=r"Decoder entries are 0 to 3, found \[4\]"):
        net.features(x, T, net.encode(mask), [1, 4])
