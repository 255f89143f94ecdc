"""SPADE: constant where the mask is, different between classes, one modulation for all samples of an image."""

import pytest
import torch
import torch.nn.functional as F

from noise2mask.layers.spade import SpadeNorm


def uniform(kind, size=(6, 5)):
    """A one-hot mask of a single class, or of none."""
    mask = torch.zeros(1, 3, *size)
    if kind is not None:
        mask[:, kind] = 1
    return mask


@pytest.mark.parametrize("kind", [None, 0, 1, 2])
def test_a_mask_of_one_class_or_none_modulates_all_places_alike_and_one_place_stands_for_it(kind):
    norm = SpadeNorm(8, 3, 4)
    large, one = norm.modulation(uniform(kind)), norm.modulation(uniform(kind, (1, 1)))
    assert one.shape == (1, 16, 1, 1) and one.std() > 1e-3
    assert torch.allclose(large, one.expand_as(large), atol=1e-6)


def test_classes_differ_from_one_another_and_from_no_class():
    norm = SpadeNorm(8, 3, 4)
    made = [norm.modulation(uniform(kind, (1, 1))) for kind in (None, 0, 1, 2)]
    assert min((made[a] - made[b]).abs().mean() for a in range(4) for b in range(a)) > 1e-3


def test_the_norm_equals_the_written_formula_for_every_sample_of_an_image():
    norm, x, mask = SpadeNorm(8, 3, 4), torch.randn(6, 8, 6, 5), torch.rand(2, 3, 6, 5)
    modulation = norm.modulation(mask)
    gamma, beta = modulation[:, :8], modulation[:, 8:]
    found = norm(x, modulation)
    for m in range(6):
        expected = F.group_norm(x[m : m + 1], 4) * (1 + gamma[m // 3]) + beta[m // 3]
        assert torch.allclose(found[m : m + 1], expected, atol=1e-6)


def test_a_modulation_of_c_numbers_serves_all_places_and_samples():
    norm, x = SpadeNorm(8, 3, 4), torch.randn(4, 8, 6, 5)
    whole = norm.modulation(uniform(None).expand(4, -1, -1, -1))
    assert torch.allclose(norm(x, norm.modulation(uniform(None, (1, 1)))), norm(x, whole), atol=1e-6)


def test_the_width_between_mask_and_modulation_is_that_asked_for():
    assert SpadeNorm(8, 3, 4).hidden.weight.shape == (128, 3, 3, 3)
    narrow = SpadeNorm(8, 3, 4, hidden=5)
    assert narrow.hidden.weight.shape == (5, 3, 3, 3) and narrow.gamma_beta.weight.shape == (16, 5, 3, 3)
