"""The three fusions on values that can be checked by hand."""

import pytest
import torch

from noise2mask.diffusion.fusion import METHODS, fuse, harden
from noise2mask.diffusion.staple import staple

BINARY = torch.tensor([[0.9, 0.6, 0.2, 0.0], [0.7, 0.1, 0.4, 0.0], [0.8, 0.5, 0.9, 0.0]]).reshape(1, 3, 1, 2, 2)
CLASSES = torch.tensor([[0.6, 0.3, 0.0], [0.2, 0.8, 0.1]]).reshape(
    1, 2, 3, 1
)  # one pixel, two samples of three classes


def test_mean_averages_the_soft_samples():
    torch.testing.assert_close(fuse(BINARY).flatten(), torch.tensor([0.8, 0.4, 0.5, 0.0]))


def test_majority_averages_the_hard_samples():
    torch.testing.assert_close(fuse(BINARY, "majority").flatten(), torch.tensor([1, 1 / 3, 1 / 3, 0]))


def test_staple_takes_the_hard_samples():
    assert fuse(BINARY, "staple").equal(staple(BINARY > 0.5))


def test_mean_of_exclusive_classes_sums_to_one():
    expected = torch.tensor([0.4, 0.55, 0.05])
    torch.testing.assert_close(fuse(CLASSES, "mean", exclusive=True).flatten(), expected)
    torch.testing.assert_close(fuse(CLASSES * 0.5, "mean", exclusive=True).flatten(), expected)


def test_majority_of_exclusive_classes_counts_each_argmax():
    torch.testing.assert_close(fuse(CLASSES * 0.5, "majority", exclusive=True).flatten(), torch.tensor([0.5, 0.5, 0]))


def test_majority_of_overlapping_classes_counts_each_class_alone():
    torch.testing.assert_close(fuse(CLASSES, "majority").flatten(), torch.tensor([0.5, 0.5, 0.0]))


def test_a_pixel_that_no_class_claims_belongs_to_all_alike():
    fused = fuse(torch.zeros(1, 2, 4, 3, 3), "mean", exclusive=True)
    torch.testing.assert_close(fused, torch.full((1, 4, 3, 3), 0.25))


@pytest.mark.parametrize("how", METHODS)
def test_a_single_class_is_never_exclusive(how):
    assert fuse(BINARY, how, exclusive=True).equal(fuse(BINARY, how, exclusive=False))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("how", METHODS)
def test_fusion_ignores_the_order_of_samples_and_the_batch(how, exclusive):
    samples = torch.rand(2, 4, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    fused = fuse(samples, how, exclusive)
    torch.testing.assert_close(fuse(samples.flip(1), how, exclusive), fused)
    torch.testing.assert_close(torch.cat([fuse(image[None], how, exclusive) for image in samples]), fused)


@pytest.mark.parametrize("how", METHODS)
def test_exclusive_probabilities_sum_to_one_and_unanimous_images_keep_their_value(how):
    samples = torch.rand(1, 5, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    total = fuse(samples, how, exclusive=True).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total))
    same = harden(samples[:, :1], exclusive=True).float().expand(-1, 5, -1, -1, -1)
    torch.testing.assert_close(fuse(same, how, exclusive=True), same[:, 0])


def test_hard_exclusive_samples_have_one_class_per_pixel_even_when_tied():
    assert harden(torch.full((1, 2, 3, 4, 4), 0.5), exclusive=True).sum(dim=2).eq(1).all()


@pytest.mark.parametrize("how", METHODS)
def test_half_precision_samples_are_fused_in_single_precision(how):
    assert fuse(BINARY.half(), how).dtype == torch.float32


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_broken_sample_is_named_not_averaged_in(value):
    samples = torch.rand(2, 3, 1, 4, 4)
    samples[1, 2, 0, 3, 3] = value
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 of 6 samples \(sample 2 of image 1\)"):
        fuse(samples)


def test_samples_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match="outside"):
        fuse(BINARY * 2 - 1)
    with pytest.raises(ValueError, match="expected floating point"):
        fuse(BINARY[0, 0])


def test_an_unknown_fusion_lists_the_known_ones():
    with pytest.raises(ValueError, match="mean, majority, staple"):
        fuse(BINARY, "median")
