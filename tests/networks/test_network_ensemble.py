"""Several networks: each has its own samples, and nothing else changes them."""

from copy import deepcopy

import pytest
import torch

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.networks.baseline import Baseline
from noise2mask.networks.medsegdiff import MedSegDiff
from noise2mask.networks.network_ensemble import NetworkEnsemble
from noise2mask.networks.pgdiffseg import PGDiffSeg

SCHEDULE = NoiseSchedule("linear", 100, 1e-3, 2e-1)


def pgdiffseg(seed):
    torch.manual_seed(seed)
    return PGDiffSeg(base=8, multipliers=(1, 2), num_groups=2).eval()


@pytest.fixture(scope="module")
def networks():
    return [pgdiffseg(seed) for seed in range(3)]


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
    [([[]], [0, 1, 2, 0, 1, 2]), ([[], [1]], [0, 1, 1, 2, 2, 0]), ([[], [1], [0]], [0, 1, 2, 1, 2, 0])],
)
def test_of_each_view_the_samples_are_the_networks_in_turn(networks, flips, owners):
    joined = inferer(flips=flips).sample(images(), NetworkEnsemble(networks).eval())
    alone = [inferer(flips=flips).sample(images(), network) for network in networks]
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    for n, owner in enumerate(owners):
        assert torch.allclose(joined[:, n], alone[owner][:, n], atol=1e-5), n
    assert sorted(owners) == [0, 0, 1, 1, 2, 2]


def test_neither_chunks_nor_other_images_change_a_sample(networks):
    ensemble, image = NetworkEnsemble(networks).eval(), images(3)
    whole = inferer(flips=[[], [1]]).sample(image, ensemble)
    assert torch.allclose(inferer(flips=[[], [1]], chunk_size=1).sample(image, ensemble), whole, atol=1e-5)
    assert torch.allclose(inferer(flips=[[], [1]]).sample(image[1:2], ensemble), whole[1:2], atol=1e-5)


def test_fewer_samples_than_networks_are_the_first_ones(networks):
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


def test_one_network_alone_and_mixed_dimensions_are_refused(networks):
    with pytest.raises(ValueError, match="expected at least 2 of the same number"):
        NetworkEnsemble(networks[:1])
    with pytest.raises(ValueError, match="PGDiffSeg of 2 dimensions', 'Baseline of 3 dimensions"):
        NetworkEnsemble([networks[0], Baseline(torch.nn.Conv3d(1, 1, 1), spatial_dims=3)])


def test_it_is_not_trained(networks):
    ensemble = NetworkEnsemble([deepcopy(network) for network in networks]).train()
    with pytest.raises(ValueError, match="train its networks, and join their weights"):
        ensemble(images(), torch.tensor([50, 60]), images())
