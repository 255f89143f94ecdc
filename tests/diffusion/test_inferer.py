"""The ensemble inferer: what its result may not depend on, and what it must."""

import weakref

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.diffusion import inferer as module
from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.fusion import fuse
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise import NoiseSource
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.samplers import SAMPLERS
from noise2mask.diffusion.uncertainty import triage
from noise2mask.networks.medsegdiff import MedSegDiff
from noise2mask.networks.pgdiffseg import PGDiffSeg

SCHEDULE = NoiseSchedule("linear", 100, 1e-3, 2e-1)


class Echo(Denoiser):
    """Predicts x itself; its coarse mask is the image. Counts how often it encodes, and how many images."""

    def __init__(self):
        super().__init__()
        self.encoded = []

    def encode(self, image):
        assert not torch.is_grad_enabled()
        self.encoded.append(len(image))
        return Condition(image, self.training, {})

    def coarse(self, condition):
        return condition.image

    def denoise(self, x, timesteps, condition):
        condition.samples_of(x, self.training)
        return x


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = PGDiffSeg(base=8, multipliers=(1, 2), num_groups=2).eval()
    for gain in (gain for psa in net.psa for gain in psa.gain.values()):
        gain.data.fill_(0.5)
    return net


def images(count=3, size=8):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


def inferer(**options):
    return EnsembleInferer(SCHEDULE, **{"steps": 3, "samples": 3, **options})


def close(a, b):
    return a.shape == b.shape and (a - b).abs().max() <= 1e-5


class Uncached(Denoiser):
    """A network whose condition flow is computed anew in every evaluation: `at` is the identity."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def encode(self, image):
        return self.network.encode(image)

    def denoise(self, x, timesteps, condition):
        assert "flow" not in condition
        return self.network.denoise(x, timesteps, condition)


# What the result may not depend on


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_cache_changes_nothing(network, sampler):
    cached = inferer(sampler=sampler, steps=5).sample(images(), network)
    uncached = inferer(sampler=sampler, steps=5).sample(images(), Uncached(network).eval())
    assert cached.shape == (3, 3, 1, 8, 8) and cached.std(dim=1).max() > 1e-4
    assert (cached - uncached).abs().max() <= 1e-6


def test_the_batch_size_changes_nothing(network):
    together = inferer().sample(images(), network)
    assert close(together, torch.cat([inferer().sample(image[None], network) for image in images()]))


def test_the_order_of_images_changes_nothing(network):
    assert close(inferer().sample(images().flip(0), network).flip(0), inferer().sample(images(), network))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("chunk_size", [1, 2, 4, 7])
def test_the_chunk_size_changes_nothing(network, chunk_size, sampler):
    whole = inferer(sampler=sampler).sample(images(), network)
    assert close(inferer(sampler=sampler, chunk_size=chunk_size).sample(images(), network), whole)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_sample_equals_a_run_of_its_own_with_its_seed(network, sampler):
    samples = inferer(sampler=sampler, seed=5).sample(images(), network)
    for n in range(3):
        assert close(samples[:, n : n + 1], inferer(sampler=sampler, seed=5 + n, samples=1).sample(images(), network))


def test_the_same_seed_gives_the_same_and_leaves_other_random_numbers_alone(network):
    torch.manual_seed(9)
    first = inferer(sampler="ddpm").sample(images(), network)
    drawn = torch.rand(1)
    torch.manual_seed(9)
    assert torch.equal(torch.rand(1), drawn)
    assert torch.equal(inferer(sampler="ddpm").sample(images(), network), first)


def test_seeds_samples_and_images_differ(network):
    first, other = inferer().sample(images(), network), inferer(seed=50).sample(images(), network)
    assert not close(first, other) and not close(first[:, 0], first[:, 1]) and not close(first[0], first[1])


def test_a_volume_is_its_slices(network):
    volumes = torch.stack([images(2), images(2).flip(2), images(2).flip(3)], dim=-1)  # (2, 1, 8, 8, 3)
    samples = inferer(chunk_size=4).sample(volumes, network)
    assert samples.shape == (2, 3, 1, 8, 8, 3)
    for d in range(3):
        assert close(samples[..., d], inferer().sample(volumes[..., d], network))
    assert close(inferer()(volumes, network), samples.mean(dim=1))


# Views

VIEWS = [[], [1], [0, 1]]


@pytest.mark.parametrize("chunk_size", [64, 2, 1])
def test_a_sample_of_a_view_is_that_of_the_mirrored_image_mirrored_back(network, chunk_size):
    samples = inferer(samples=4, flips=VIEWS, chunk_size=chunk_size).sample(images(), network)
    for n in range(4):
        dims = [2 + axis for axis in VIEWS[n % 3]]
        alone = inferer(seed=n, samples=1).sample(images().flip(dims), network)[:, 0]
        assert close(samples[:, n], alone.flip(dims))


def test_views_of_a_volume_are_those_of_its_slices(network):
    volume = torch.stack([images(2), images(2).flip(2)], dim=-1)  # (2, 1, 8, 8, 2)
    run = inferer(flips=VIEWS, zooms=[1.0, 1.5])
    assert close(run.sample(volume, network)[..., 1], run.sample(volume[..., 1], network))


def test_with_both_views_a_mirrored_image_has_the_mirrored_mask():
    run = inferer(steps=0, flips=[[], [1]])  # Echo's coarse mask is the image
    image = images().abs()
    assert run.samples == 2 and close(run(image.flip(3), Echo()), run(image, Echo()).flip(3))


def test_a_truncated_start_is_mirrored_with_its_view(network):
    coarse = images().abs()
    run = inferer(samples=2, steps=1, start=2, flips=[[], [0]])
    alone = inferer(samples=1, steps=1, start=2, seed=1).sample(images().flip(2), network, coarse=coarse.flip(2))
    assert close(run.sample(images(), network, coarse=coarse)[:, 1], alone[:, 0].flip(2))


def test_the_callback_sees_mirrored_views_as_the_image_lies(network):
    seen, run = {}, inferer(samples=2, flips=[[], [1]])
    last = run.sample(images(), network, callback=lambda state: seen.update({state.samples[0]: state}))
    assert close((seen[1].x0.clamp(-0.3, 0.3) / 0.3 + 1) / 2, last[:, 1])


def test_slices_have_no_third_axis_to_mirror(network):
    with pytest.raises(ValueError, match="flips has axis 2, this network takes images with axes 0 to 1"):
        inferer(flips=[[], [2]]).sample(images(), network)


# Starting


@pytest.mark.parametrize("chunk_size", [64, 3, 2])
def test_a_truncated_start_begins_at_the_given_mask(chunk_size):
    coarse = torch.rand(2, 1, 4, 4)
    samples = inferer(start=40, steps=1, chunk_size=chunk_size).sample(images(2, 4), Echo(), coarse=coarse)
    alpha, sigma = SCHEDULE.alpha_sigma(40)
    noise = NoiseSource(0, range(3), 2, (1, 4, 4))().unflatten(0, (2, 3))
    x = alpha * 0.3 * (2 * coarse[:, None] - 1) + sigma * noise
    assert close(samples, ((x / 0.3 + 1) / 2).clamp(0, 1))


@pytest.mark.parametrize("depth", [0, 2])
def test_without_a_mask_a_truncated_start_begins_at_the_network_s_own(depth):
    image = torch.rand(2, 1, 4, 4, depth) if depth else torch.rand(2, 1, 4, 4)
    run = inferer(start=40, steps=2)
    assert torch.equal(run.sample(image, Echo()), run.sample(image, Echo(), coarse=image))
    assert not close(run.sample(image, Echo()), run.sample(image, Echo(), coarse=1 - image))


def test_pgdiffseg_s_truncated_start_begins_at_its_prior(network):
    coarse = network.coarse(network.encode(images()))
    run = inferer(start=40)
    assert torch.equal(run.sample(images(), network), run.sample(images(), network, coarse=coarse))


def test_a_start_of_a_network_without_one_is_refused():
    class Blind(Echo):
        coarse = Denoiser.coarse

    with pytest.raises(ValueError, match="Blind makes no coarse mask"):
        inferer(start=40).sample(images(), Blind())


# Watching


def test_the_callback_sees_every_step_of_every_sample(network):
    seen, run = [], inferer(chunk_size=2)
    run.sample(images(), network, callback=seen.append)
    visited = [(b, n, state.timestep) for state in seen for b in state.images for n in state.samples]
    expected = [(b, n, t) for b in range(3) for n in range(3) for t in run.timesteps]
    assert sorted(visited) == sorted(expected)
    for state in seen:
        assert state.x.shape == state.x0.shape == (len(state.images) * len(state.samples), 1, 8, 8)
        assert run.timesteps[state.step] == state.timestep and state.x0.abs().max() <= 0.3


def test_the_last_estimate_the_callback_sees_is_the_result(network):
    seen = []
    samples = inferer().sample(images(), network, callback=seen.append)
    assert close(((seen[-1].x0 / 0.3 + 1) / 2).unflatten(0, (3, 3)), samples)


def test_an_image_is_encoded_once_however_many_samples_and_steps():
    network = Echo()
    inferer(samples=5, chunk_size=2).sample(images(3), network)
    assert network.encoded == [1, 1, 1]
    network = Echo()
    inferer(samples=2, chunk_size=4).sample(images(3), network)
    assert network.encoded == [2, 1]


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_in_its_mode(network, training):
    network.train(training)
    inferer().sample(images(), network)
    assert network.training is training
    with pytest.raises(ValueError, match="multiples of 4"):
        inferer().sample(images(size=6), network)
    assert network.training is training
    network.eval()


def test_train_mode_changes_nothing(network):
    expected = inferer().sample(images(), network)
    assert torch.equal(inferer().sample(images(), network.train()), expected)
    network.eval()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_state_of_an_earlier_step_and_no_graph_is_kept(network, sampler):
    tracked, most = [], 0

    def watch(state):
        nonlocal most
        tracked.extend(map(weakref.ref, (state.x, state.x0)))
        most = max(most, sum(ref() is not None for ref in tracked))
        assert not state.x.requires_grad and not state.x0.requires_grad

    samples = inferer(sampler=sampler, steps=8).sample(images(1), network, callback=watch)
    assert len(tracked) == 16 and most <= 6
    assert not samples.requires_grad


# Results


@pytest.mark.parametrize("target", ["x0", "epsilon", "v"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_runs_with_every_target(network, sampler, target):
    samples = inferer(sampler=sampler, target=target, steps=4).sample(images(2), network)
    assert samples.shape == (2, 3, 1, 8, 8)
    assert samples.isfinite().all() and 0 <= samples.min() and samples.max() <= 1


class Oracle(Echo):
    """Predicts the noise that x holds of the image, which is the mask; remembers the timesteps it was asked at."""

    def __init__(self, schedule, scale=0.3):
        super().__init__()
        self.schedule, self.scale, self.asked = schedule, scale, []

    def denoise(self, x, timesteps, condition):
        self.asked += timesteps.tolist()
        alpha, sigma = self.schedule.alpha_sigma(timesteps.item())
        mask = self.scale * condition.image.repeat_interleave(len(x) // len(condition.image), dim=0)
        return (x - alpha * mask) / sigma


@pytest.mark.parametrize("timesteps", [1000, 300])
@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 100), ("ddim", 30), ("dpm_solver_pp", 7), ("unipc", 80)])
def test_the_true_noise_leads_to_the_mask_along_trained_timesteps(sampler, steps, timesteps):
    schedule, masks = NoiseSchedule(timesteps=timesteps), images().sign()
    network = Oracle(schedule)
    run = EnsembleInferer(schedule, target="epsilon", sampler=sampler, steps=steps, samples=2)
    assert torch.allclose(run.sample(masks, network), (masks[:, None] + 1) / 2, atol=1e-3)
    asked = [int(t) for t in network.asked]
    assert asked == network.asked == run.timesteps and len(asked) == steps  # whole, in one chunk
    assert asked[0] == timesteps - 1 and asked == sorted(set(asked), reverse=True) and asked[-1] >= 0


@pytest.mark.parametrize("fusion", ["mean", "majority", "staple"])
def test_the_result_is_the_fused_samples(network, fusion):
    run = inferer(fusion=fusion)
    assert torch.equal(run(images(), network), fuse(run.sample(images(), network), fusion))


def test_the_triage_number_is_that_of_the_samples(network):
    expected = triage(inferer().sample(images(), network))["triage"]
    assert torch.equal(inferer().triage(images(), network), expected)
    assert expected.shape == (3,) and expected.max() > 0


def test_several_exclusive_classes_sum_to_one():
    torch.manual_seed(0)
    network = PGDiffSeg(out_channels=3, base=8, multipliers=(1, 2)).eval()
    probability = inferer(out_channels=3, exclusive=True)(images(), network)
    assert probability.shape == (3, 3, 8, 8)
    assert torch.allclose(probability.sum(dim=1), torch.ones(3, 8, 8))


def test_meta_data_does_not_matter(network):
    assert torch.equal(inferer()(MetaTensor(images()), network), inferer()(images(), network))


@pytest.mark.parametrize(("sampler", "count"), [("ddim", 18), ("dpm_solver", 30)])
def test_a_progress_bar_counts_every_evaluation(network, monkeypatch, sampler, count):
    bars = []

    class Bar(module.tqdm):
        def close(self):
            bars.extend([] if self.disable else [(self.n, self.total)])
            super().close()

    monkeypatch.setattr(module, "tqdm", Bar)
    for progress in (False, True):
        inferer(sampler=sampler, chunk_size=2, progress=progress).sample(images(), network)
    assert bars == [(count, count)]


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 101}, "101"),
        ({"steps": -1}, "-1"),
        ({"steps": 5, "start": 3}, "1 to 4"),
        ({"start": 100}, "100"),
        ({"sampler": "euler"}, "sampler is 'euler', expected one of ddpm"),
        ({"fusion": "vote"}, "fusion is 'vote', expected one of mean"),
        ({"spacing": "even"}, "spacing is 'even'"),
        ({"target": "noise"}, "target is 'noise'"),
        ({"mask_scale": 0}, "mask_scale is 0, expected more than 0"),
        ({"samples": 0}, "at least 1, found 0"),
        ({"flips": []}, r"flips is \[\]; expected lists"),
        ({"zooms": [1, 0]}, r"zooms is \[1, 0\]; expected factors above 0"),
        ({"chunk_size": 0}, "at least 1, found 3 and 0"),
    ],
)
def test_wrong_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        inferer(**options)


def test_an_image_without_a_batch_is_refused(network):
    with pytest.raises(ValueError, match=r"found shape \(1, 8, 8\)"):
        inferer()(images()[0], network)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_sample_that_is_not_finite_stops_the_run(network, value):
    bad = images()
    bad[1, 0, 2, 2] = value
    with pytest.raises(ValueError, match="sample 0 of image 1"):
        inferer()(bad, network)


def test_an_infinite_prediction_is_not_clipped_to_a_certain_mask(network, monkeypatch):
    denoise = network.denoise
    monkeypatch.setattr(network, "denoise", lambda *args: denoise(*args) + torch.inf)
    with pytest.raises(ValueError, match="sample 0 of image 0 .* not finite"):
        inferer()(images(), network)


def test_a_coarse_mask_without_a_start_is_refused(network):
    with pytest.raises(ValueError, match="truncated start only"):
        inferer().sample(images(), network, coarse=torch.zeros(2, 1, 8, 8))


# Other settings, clipping, variance


def test_an_inferer_with_other_settings_keeps_all_else(network):
    first = inferer(seed=7, target="v", chunk_size=2)
    other = first.changed(sampler="unipc", samples=2)
    assert (other.sampler, other.samples, other.seed, other.target, other.chunk_size) == ("unipc", 2, 7, "v", 2)
    assert (first.sampler, first.samples) == ("ddim", 3)
    assert inferer(steps=0).samples == 1 and inferer(steps=0).changed(steps=2).samples == 3
    expected = inferer(seed=7, target="v", sampler="unipc", samples=2)
    assert close(other.sample(images(), network), expected.sample(images(), network))


def test_without_clipping_the_clean_mask_may_leave_its_range():
    seen = {}
    for clip in (True, False):
        values = seen.setdefault(clip, [])
        inferer(clip=clip).sample(images(), Echo(), callback=lambda state, values=values: values.append(state.x0))
    assert max(x0.abs().max() for x0 in seen[True]) <= 0.3
    assert max(x0.abs().max() for x0 in seen[False]) > 1


def test_the_large_variance_is_ddpm_s_alone(network):
    small, large = (inferer(sampler="ddpm", variance=v).sample(images(), network) for v in ("small", "large"))
    assert not close(small, large)
    assert close(*(inferer(variance=v).sample(images(), network) for v in ("small", "large")))


class Learned(Echo):
    """Predicts x0 = 0.1 x, and the same place between the bounds of the variance everywhere."""

    def __init__(self, place, channels=2):
        super().__init__()
        self.place, self.channels = place, channels

    def denoise(self, x, timesteps, condition):
        return torch.cat([0.1 * x, *[torch.full_like(x, self.place)] * (self.channels - 1)], dim=1)


@pytest.mark.parametrize(("place", "variance"), [(-1.0, "small"), (1.0, "large")])
def test_a_learned_variance_at_its_bounds_is_the_small_and_the_large_one(place, variance):
    learned = inferer(sampler="ddpm", variance="learned").sample(images(), Learned(place))
    assert close(learned, inferer(sampler="ddpm", variance=variance).sample(images(), Learned(place, channels=1)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_learned_variance_is_left_out_where_it_is_not_asked_for(sampler):
    network, run = Learned(0.4), inferer(sampler=sampler, steps=4)
    assert torch.equal(run.sample(images(), network), run.sample(images(), Learned(0.4, channels=1)))
    assert sampler == "ddpm" or torch.equal(run.changed(variance="learned")(images(), network), run(images(), network))


def test_a_learned_variance_of_a_network_that_has_none_is_refused(network):
    with pytest.raises(ValueError, match="variance is 'learned', but the network gives none"):
        inferer(sampler="ddpm", variance="learned").sample(images(), network)


def test_a_prediction_of_other_channels_is_refused():
    with pytest.raises(ValueError, match="predicts 3 channels, expected 1, or 2 with a learned variance"):
        inferer().sample(images(), Learned(0.0, channels=3))


def test_an_unknown_variance_is_refused():
    with pytest.raises(ValueError, match="variance is 'huge', expected one of small, large, learned"):
        inferer(variance="huge")


def test_no_step_gives_the_coarse_mask_itself():
    image = images().abs()
    samples = inferer(steps=0, samples=2).sample(image, Echo())
    assert torch.allclose(samples, image[:, None].expand(-1, 2, -1, -1, -1), atol=1e-6)


def test_no_step_of_a_network_without_a_coarse_mask_is_refused():
    network = MedSegDiff(base=4, blocks=(1, 1, 1, 1), downsamplings=4, grid=8)
    with pytest.raises(ValueError, match="MedSegDiff makes no coarse mask: sample from noise"):
        inferer(steps=0).sample(torch.zeros(1, 1, 16, 16), network)
