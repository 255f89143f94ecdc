"""Stage 2 of DiffusionDCI: it begins as DSDM, takes features where it should, and leaves DSDM as it is."""

import pytest
import torch

from noise2mask.networks.dci_segmenter import DCISegmenter, take_generator
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.reference_encoder import ReferenceEncoder

SMALL = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 5}
SMALL |= {"attention_levels": (1,), "token_sides": (2,)}
T = torch.tensor([200])


def scrambled(net, by=0.1):
    for name, weight in net.named_parameters():
        weight.data += 0 if "reference_encoder" in name else by * torch.randn(weight.shape)
    return net


@pytest.fixture
def dsdm():
    torch.manual_seed(0)
    return scrambled(DSDMWithReference(ReferenceEncoder(embedding=6, width=4), **SMALL)).eval()


def segmenter(dsdm, tmp_path, **options):
    """Begun from DSDM's file, with a head and fusions that do something."""
    torch.save(dsdm.state_dict(), tmp_path / "model.pt")
    torch.manual_seed(1)
    fresh = DSDMWithReference(ReferenceEncoder(embedding=6, width=4), **SMALL)
    net = DCISegmenter(fresh, 4, **{"entries": (0, 1, 2)} | options)
    take_generator(net, tmp_path / "model.pt", None)
    return net.eval()


def images(count=2, samples=1):
    torch.manual_seed(2)
    image = torch.rand(count, 3, 8, 12) * 2 - 1
    return image, image.repeat_interleave(samples, dim=0) + torch.randn(count * samples, 3, 8, 12)


def close(a, b):
    return torch.allclose(a, b, atol=1e-5)


# How it begins


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["caa", "skip", "none"])
def test_the_trunk_begins_as_dsdm_without_mask_and_reference_at_timestep_0(dsdm, tmp_path, fusion):
    net, (image, x) = segmenter(dsdm, tmp_path, fusion=fusion), images()
    seen = []
    net.trunk.output.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    net(x, T, image)  # fresh fusions change nothing
    last = len(dsdm.decoder) - 1
    expected = dsdm.features(image, torch.zeros(1), dsdm.encode(), [last])[last]
    assert close(seen[0], expected)  # at every pixel, the border's too


def test_a_trunk_that_is_not_transferred_stays_as_it_was_drawn(dsdm, tmp_path):
    net = segmenter(dsdm, tmp_path)
    before = DCISegmenter(dsdm, 4, entries=(0,))
    drawn = before.trunk.stem.weight.clone()
    take_generator(before, tmp_path / "model.pt", None, transferred=False)
    assert torch.equal(before.trunk.stem.weight, drawn) and not torch.equal(net.trunk.stem.weight, drawn)
    assert torch.equal(net.trunk.stem.weight, dsdm.stem.weight)


def test_without_a_trained_dsdm_there_is_no_training_and_weights_of_another_preset_are_refused(dsdm, tmp_path):
    net = segmenter(dsdm, tmp_path)
    with pytest.raises(ValueError, match="DSDM is not trained: name generator_file"):
        take_generator(net, None, None)
    take_generator(net, None, initial_weights="model.pt")
    other = DSDMWithReference(ReferenceEncoder(embedding=6, width=4), **SMALL | {"base": 4})
    with pytest.raises(ValueError, match=r"model\.pt does not fit the network: .*expected shape \(4, 3, 3, 3\)"):
        take_generator(DCISegmenter(other, 4, entries=(0,)), tmp_path / "model.pt", None)


# Features


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["caa", "skip"])
def test_features_of_the_noisy_image_matter_and_those_kept_equal_fresh_ones(dsdm, tmp_path, fusion):
    net, (image, x) = scrambled(segmenter(dsdm, tmp_path, fusion=fusion)), images()
    out = net(x, T, image)
    assert out.shape == (2, 4, 8, 12)
    assert not close(net(x + 0.1, T, image), out) and not close(net(x, T + 500, image), out)
    condition = net.encode(image)
    kept = {f"feature_{i}": own for i, own in net.features(x, T, condition).items()}
    assert close(net.denoise(torch.zeros_like(x), T, condition.extended(kept)), out)


@torch.no_grad()
def test_nothing_behind_the_last_entry_is_computed_and_an_early_exit_gives_the_same(dsdm, tmp_path):
    net, (image, x) = segmenter(dsdm, tmp_path, entries=(1,)), images()
    ran = []
    for i, entry in enumerate(net.dsdm.decoder):
        entry.register_forward_hook(lambda *_, i=i: ran.append(i))
    (feature,) = net.features(x, T, net.encode(image)).values()
    assert ran == [0, 1]
    whole = dsdm.features(x, T, dsdm.encode(None, image), range(len(dsdm.decoder)))
    assert close(feature, whole[1])


@torch.no_grad()
def test_without_fusion_dsdm_is_not_evaluated_and_noise_is_not_seen(dsdm, tmp_path):
    net, (image, x) = scrambled(segmenter(dsdm, tmp_path, fusion="none")), images()
    net.dsdm.encode = net.dsdm.features = None
    assert torch.equal(net(x, T, image), net(-x, T, image)) and not list(net.fusions)


@torch.no_grad()
def test_noises_in_one_batch_equal_a_loop(dsdm, tmp_path):
    net, (image, x) = scrambled(segmenter(dsdm, tmp_path)), images(2, samples=3)
    together = net(x, T, image)
    for m, one in enumerate(together):
        assert close(one, net(x[m : m + 1], T, image[m // 3][None])[0])


@torch.no_grad()
@pytest.mark.parametrize(
    ("options", "batches"), [({"entries": (1,)}, [2, 2, 6, 6]), ({"fusion": "none"}, [2, 2, 2, 2])]
)
def test_what_the_noise_does_not_change_is_computed_once_per_image(dsdm, tmp_path, options, batches):
    net, (image, x) = scrambled(segmenter(dsdm, tmp_path, **options)), images(2, samples=3)
    seen = []
    for entry in net.trunk.decoder:
        entry.register_forward_hook(lambda _, given, made: seen.append(len(made)))
    assert len(net(x, T, image)) == 6 and seen == batches


# Training


def test_a_loss_reaches_every_weight_of_the_trunk_and_none_of_dsdm(dsdm, tmp_path):
    net, (image, x) = scrambled(segmenter(dsdm, tmp_path)).train(), images()
    before = {name: value.clone() for name, value in net.dsdm.state_dict().items()}
    assert net.training and not net.dsdm.training
    net(x, T, image)["logits"].square().mean().backward()
    with_gradient = {name for name, weight in net.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert with_gradient == {name for name, _ in net.named_parameters() if not name.startswith("dsdm.")}
    assert all(torch.equal(value, before[name]) for name, value in net.dsdm.state_dict().items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"entries": (0, 4)}, r"Decoder entries are 0 to 3, found \[4\]: change entries"),
        ({"fusion": "sum"}, "fusion is 'sum', expected one of caa, skip, none"),
    ],
)
def test_what_the_network_does_not_have_is_refused(dsdm, options, words):
    with pytest.raises(ValueError, match=words):
        DCISegmenter(dsdm, 4, **{"entries": (0,)} | options)


@pytest.mark.parametrize(("size", "channels"), [((8, 11), 3), ((8, 12), 1)])
def test_images_of_another_size_or_kind_are_refused(dsdm, tmp_path, size, channels):
    with pytest.raises(ValueError, match="The image has"):
        segmenter(dsdm, tmp_path).encode(torch.zeros(1, channels, *size))


def test_parameters_at_the_paper_s_width():
    with torch.device("meta"):
        net = DCISegmenter(DSDMWithReference(ReferenceEncoder()), 3)
    millions = {name: sum(weight.numel() for weight in part.parameters()) / 1e6 for name, part in net.named_children()}
    assert millions == pytest.approx({"dsdm": 220.41, "trunk": 159.24, "fusions": 1.31}, abs=0.01)
    assert sorted(net.fusions) == ["10", "6", "7", "8", "9"]
