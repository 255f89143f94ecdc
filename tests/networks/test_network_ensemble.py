"""Several networks: each has its own samples, and nothing else changes them."""

from copy import deepcopy

import pytest
import torch
from tests.explain import toy

from noise2mask.diffusion.feature_inferer import FeatureInferer
from noise2mask.diffusion.inferer import EnsembleInferer, shared
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.views import views_of
from noise2mask.explain.subject import Subject
from noise2mask.networks.baseline import Baseline
from noise2mask.networks.dci_segmenter import DCISegmenter
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.medsegdiff import MedSegDiff
from noise2mask.networks.network_ensemble import NetworkEnsemble
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.networks.reference_encoder import ReferenceEncoder

SCHEDULE = NoiseSchedule("linear", 100, 1e-3, 2e-1)


def pgdiffseg(seed):
    torch.manual_seed(seed)
    return PGDiffSeg(base=8, multipliers=(1, 2), num_groups=2).eval()


@pytest.fixture(scope="module")
def networks():
    return [pgdiffseg(seed) for seed in range(3)]


def segmenter(seed):
    """Of tissue, by features of a diffusion model."""
    torch.manual_seed(seed)
    shape = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 5}
    dsdm = DSDMWithReference(ReferenceEncoder(embedding=6, width=4), **shape, attention_levels=(1,), token_sides=(2,))
    net = DCISegmenter(dsdm, 3, entries=(0, 1))
    for weight in net.parameters():
        weight.data += 0.1 * torch.randn(weight.shape)  # its head begins at zero
    return net.eval()


def images(count=2, size=8):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


def inferer(**options):
    return EnsembleInferer(SCHEDULE, **{"steps": 2, "samples": 6, **options})


def test_a_network_beside_its_copy_is_that_network(networks):
    pair = NetworkEnsemble([networks[0], deepcopy(networks[0])]).eval()
    alone = inferer(flips=[[], [1]]).sample(images(), networks[0])
    assert torch.allclose(inferer(flips=[[], [1]]).sample(images(), pair), alone, atol=1e-5)


@pytest.mark.parametrize(
    ("flips", "owners"),
    [([[]], [0, 1, 2, 0, 1, 2]), ([[], [1]], [0, 0, 1, 1, 2, 2]), ([[], [1], [0]], [0, 0, 0, 1, 1, 1])],
)
def test_of_each_view_the_samples_are_the_networks_in_turn(networks, flips, owners):
    joined = inferer(flips=flips).sample(images(), NetworkEnsemble(networks).eval())
    alone = [inferer(flips=flips).sample(images(), network) for network in networks]
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    for n, owner in enumerate(owners):
        assert torch.allclose(joined[:, n], alone[owner][:, n], atol=1e-5), n


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_network_sees_each_view_equally_often(views, count):
    ensemble = NetworkEnsemble([Baseline(torch.nn.Identity()) for _ in range(count)])
    for _, of_view in views_of([[], [1], [0]][:views], [1.0], 2 * views * count):
        assert [len(own) for _, own in shared(ensemble, of_view)] == count * [2]
        assert sorted(n for _, own in shared(ensemble, of_view) for n in own) == list(of_view)


def test_a_callback_is_shown_each_network_s_samples_once(networks):
    seen = []
    ensemble = NetworkEnsemble(networks).eval()
    inferer(flips=[[], [1]]).sample(images(), ensemble, callback=lambda state: seen.append(list(state.samples)))
    assert sorted(n for samples in seen for n in samples) == sorted(2 * list(range(6)))  # two steps


def test_neither_chunks_nor_other_images_change_a_sample(networks):
    ensemble, image = NetworkEnsemble(networks).eval(), images(3)
    whole = inferer(flips=[[], [1]]).sample(image, ensemble)
    assert torch.allclose(inferer(flips=[[], [1]], chunk_size=1).sample(image, ensemble), whole, atol=1e-5)
    assert torch.allclose(inferer(flips=[[], [1]]).sample(image[1:2], ensemble), whole[1:2], atol=1e-5)


def test_few_samples_are_of_the_first_networks(networks):
    one = inferer(samples=1).sample(images(), NetworkEnsemble(networks).eval())
    assert torch.allclose(one, inferer(samples=1).sample(images(), networks[0]), atol=1e-5)


def test_a_truncated_start_begins_with_each_network_s_own_guess(networks):
    cut = inferer(start=40)
    joined, alone = cut.sample(images(), NetworkEnsemble(networks).eval()), cut.sample(images(), networks[2])
    assert torch.allclose(joined[:, 2], alone[:, 2], atol=1e-5)


def test_it_makes_a_guess_only_where_each_does(networks):
    torch.manual_seed(0)
    without = MedSegDiff(base=8, blocks=(1, 1, 1, 1), downsamplings=4, num_groups=4)
    assert NetworkEnsemble(networks).has_coarse
    assert not NetworkEnsemble([networks[0], without]).has_coarse


def test_to_what_looks_into_it_it_is_the_first_one(networks):
    ensemble, x = NetworkEnsemble(networks).eval(), images()
    t = torch.tensor([50])
    with torch.no_grad():
        assert torch.equal(ensemble(x, t, x), networks[0](x, t, x))
        assert torch.equal(ensemble.coarse(ensemble.encode(x)), networks[0].coarse(networks[0].encode(x)))


def test_its_stride_suits_all():
    one, other = (Baseline(torch.nn.Conv2d(1, 1, 1), stride=stride) for stride in (4, 6))
    assert NetworkEnsemble([one, other]).stride == 12


def test_features_are_those_of_each_segmenter(tmp_path):
    segmenters = [segmenter(seed) for seed in range(2)]
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    options = {"samples": 4, "flips": [[], [0]], "features_dir": tmp_path}
    joined = FeatureInferer(SCHEDULE, 20, **options).sample(image, NetworkEnsemble(segmenters).eval())
    alone = [FeatureInferer(SCHEDULE, 20, **options).sample(image, own) for own in segmenters]
    for n, owner in enumerate([0, 0, 1, 1]):
        assert torch.allclose(joined[:, n], alone[owner][:, n], atol=1e-5), n
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


def test_figures_look_into_the_first_one(tmp_path):
    nets = [toy.network(), toy.network()]
    assert Subject(toy.dataset(), NetworkEnsemble(nets), toy.inferer(), str(tmp_path)).network is nets[0]


def test_one_network_alone_ensembles_and_mixed_dimensions_are_refused(networks):
    with pytest.raises(ValueError, match="give the networks that it is made of"):
        NetworkEnsemble([NetworkEnsemble(networks[:2]), networks[2]])
    with pytest.raises(ValueError, match="expected at least 2 of the same number"):
        NetworkEnsemble(networks[:1])
    with pytest.raises(ValueError, match="PGDiffSeg of 2 dimensions', 'Baseline of 3 dimensions"):
        NetworkEnsemble([networks[0], Baseline(torch.nn.Conv3d(1, 1, 1), spatial_dims=3)])


def test_it_is_not_trained(networks):
    ensemble = NetworkEnsemble([deepcopy(network) for network in networks]).train()
    with pytest.raises(ValueError, match="train its networks, and join their weights"):
        ensemble(images(), torch.tensor([50, 60]), images())
