"""The way from noise to mask that is kept of a sampler: what it really went through, whatever the chunks."""

import pytest
import torch

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.trace import Trace, foreground, grey
from noise2mask.networks.pgdiffseg import PGDiffSeg

SCHEDULE = NoiseSchedule()


def network():
    torch.manual_seed(0)
    return PGDiffSeg(base=8, multipliers=(1, 2)).eval()


def traced(image, chunk_size=64, steps=5, keep=(0, 2, 4), samples=2):
    inferer = EnsembleInferer(SCHEDULE, steps=steps, samples=samples, chunk_size=chunk_size)
    trace, seen = Trace(keep, SCHEDULE, 0.3, False), []
    inferer.sample(image, network(), callback=lambda state: (trace(state), seen.append(state)))
    return trace.of_images(len(image)), seen, inferer


def test_of_each_image_the_first_sample_is_kept_at_the_steps_that_were_asked_for():
    (noisy, clean, timesteps), seen, inferer = traced(torch.randn(2, 1, 16, 16).clamp(-1, 1))
    assert timesteps == [inferer.timesteps[k] for k in (0, 2, 4)]
    assert noisy.shape == clean.shape == (2, 3, 16, 16) and noisy.dtype == torch.uint8
    second = next(state for state in seen if state.step == 2)
    assert torch.equal(clean[1, 1], grey(second.x0[2:3, 0] / 0.3)[0])  # image 1, sample 0 of two


def test_chunks_change_nothing_and_slices_become_a_volume():
    volume = torch.randn(1, 1, 16, 16, 3).clamp(-1, 1)
    whole, small = traced(volume)[0], traced(volume, chunk_size=1)[0]
    assert whole[0].shape == (1, 3, 16, 16, 3) and torch.equal(whole[0], small[0]) and whole[2] == small[2]
    assert (whole[1].int() - small[1].int()).abs().max() <= 1  # batches of another size round otherwise


@pytest.mark.parametrize("chunk_size", [1, 64])
def test_of_volumes_the_slices_that_were_asked_for_are_those_of_the_whole(chunk_size):
    volumes = torch.randn(2, 1, 16, 16, 5).clamp(-1, 1)
    inferer = EnsembleInferer(SCHEDULE, steps=2, samples=1, chunk_size=chunk_size)
    whole, cut = (Trace([0, 1], SCHEDULE, 0.3, False) for _ in range(2))
    cut.begin(5, [0, 3])
    inferer.sample(volumes, network(), callback=lambda state: (whole(state), cut(state)))
    for every, some in zip(whole.of_images(2)[:2], cut.of_images(2)[:2], strict=True):
        assert some.shape == (2, 2, 16, 16, 2) and torch.equal(some, every[..., [0, 3]])


def test_an_unwatched_sampler_leaves_nothing():
    noisy, clean, timesteps = Trace([0], SCHEDULE, 0.3, False).of_images(2)
    assert noisy.shape == clean.shape == (2, 0) and timesteps == []


def test_the_foreground_is_the_largest_class_or_what_is_no_background():
    values = torch.tensor([[[-1.0, 0.5]], [[0.25, -0.5]]])[None]  # (1, 2, 1, 2)
    assert foreground(values, False).tolist() == [[[0.25, 0.5]]]
    assert foreground(values, True).tolist() == [[[1.0, -0.5]]]
    assert grey(torch.tensor([-2.0, -1.0, 0.0, 1.0])).tolist() == [0, 0, 128, 255]


def test_the_states_of_a_walk_are_those_of_the_sampler():
    image = torch.randn(2, 1, 16, 16).clamp(-1, 1)
    _, seen, inferer = traced(image, samples=1)
    states = inferer.states(image, network(), 3)
    assert [timestep for timestep, _ in states] == [inferer.timesteps[k] for k in (0, 2, 4)]
    assert all(torch.equal(x, seen[k].x) for (_, x), k in zip(states, (0, 2, 4), strict=True))
