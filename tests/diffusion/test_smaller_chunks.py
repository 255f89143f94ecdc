"""Too little memory makes sampling slower, not another."""

import pytest
import torch

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.smaller_chunks import in_smaller_chunks
from noise2mask.networks.pgdiffseg import PGDiffSeg


class Cramped(PGDiffSeg):
    """Has memory for `most` noisy masks at a time; `seen` are the sizes of its batches."""

    most = 64

    def denoise(self, x, timesteps, condition):
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return super().denoise(x, timesteps, condition)


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = Cramped(base=8, multipliers=(1, 2), num_groups=2).eval()
    net.seen = []
    return net


def test_half_as_many_at_once_give_the_same_samples(network, caplog):
    inferer = EnsembleInferer(NoiseSchedule("linear", 100, 1e-3, 2e-1), steps=3, samples=3, chunk_size=64)
    image = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = inferer.sample(image, network)
    network.most, network.seen = 4, []
    torch.testing.assert_close(inferer.sample(image, network), whole, rtol=0, atol=1e-5)
    assert network.seen[:3] == [12, 6, 3] and max(network.seen[3:]) == 3
    assert "Tried to allocate 2 GiB.: trying 6 at once" in caplog.text


def test_one_that_does_not_fit_is_an_error_and_so_is_anything_else(network):
    def run(size):
        sizes.append(size)
        raise error

    for error, tried in ((MemoryError(), [5, 2, 1]), (RuntimeError("shapes differ"), [5])):
        sizes = []
        with pytest.raises(type(error)):
            in_smaller_chunks(run, 5)
        assert sizes == tried
