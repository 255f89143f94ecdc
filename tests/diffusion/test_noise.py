"""Noise belongs to a sample: not to a batch, an image, or a chunk of samples."""

import pytest
import torch

from noise2mask.diffusion.noise import NoiseSource

SHAPE = (2, 4, 4)


def draw(samples, images=1, calls=2, seed=7, **options):
    source = NoiseSource(seed, samples, images, SHAPE, **options)
    return torch.stack([source() for _ in range(calls)]).unflatten(1, (images, len(samples)))  # (calls, B, N, K, H, W)


def test_shape_is_image_major():
    assert NoiseSource(0, range(3), 5, SHAPE)().shape == (15, *SHAPE)
    assert NoiseSource(0, range(3), 1, (2, 4, 4, 3))().shape == (3, 2, 4, 4, 3)


def test_all_images_get_the_noise_of_one():
    assert torch.equal(draw(range(3), images=4), draw(range(3)).expand(2, 4, 3, *SHAPE))


def test_chunks_of_samples_give_the_noise_of_the_whole():
    chunks = [draw(range(2), images=2), draw([2], images=2), draw([3, 4], images=2)]
    assert torch.equal(torch.cat(chunks, dim=2), draw(range(5), images=2))


def test_sample_n_is_seeded_with_seed_plus_n():
    assert torch.equal(draw([3], seed=7), draw([0], seed=10))


def test_an_image_with_a_seed_of_its_own_gets_its_noise_alone():
    both = draw(range(2), images=2, seed=[7, 90])
    assert torch.equal(both, torch.cat([draw(range(2), seed=7), draw(range(2), seed=90)], dim=1))
    with pytest.raises(ValueError, match="2 seeds of 3 images, expected one for all, or one for each"):
        draw(range(2), images=3, seed=[7, 90])


def test_calls_and_samples_differ():
    noise = draw(range(3))
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[:, :, 0], noise[:, :, 1])


def test_other_random_numbers_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    draw(range(2))
    assert torch.equal(torch.rand(1), expected)


def test_noise_is_the_same_in_every_type():
    assert torch.equal(draw(range(2), dtype=torch.bfloat16), draw(range(2)).bfloat16())
    assert torch.equal(draw(range(2), dtype=torch.float64), draw(range(2)).double())


def test_noise_is_standard_normal():
    noise = NoiseSource(0, range(4), 1, (1, 64, 64))()
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert noise.std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("samples", "images"), [(range(0), 1), (range(2), 0)])
def test_nothing_to_draw_is_an_error(samples, images):
    with pytest.raises(ValueError, match="at least one of each"):
        NoiseSource(0, samples, images, SHAPE)
