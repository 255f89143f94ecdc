"""Dynamic conditional encoding: equation 3 on hand numbers, the other two forms, samples that share an image."""

import math

import pytest
import torch

from noise2mask.layers.dynamic_encoding import DynamicEncoding

IMAGE = torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)  # LayerNorm over the two channels: -1, +1
MASK = torch.tensor([8.0, 2.0]).reshape(1, 2, 1, 1)  # +1, -1
EXACT = [-1.0, -3.0]


def encoding_of(channels, gate):
    """One whose LayerNorms scale by 1: it begins without the mask."""
    encoding = DynamicEncoding(channels, gate)
    torch.nn.init.ones_(encoding.mask_norm.weight)
    return encoding


def of(gate, image=IMAGE, mask=MASK):
    """The encoding's values."""
    return encoding_of(2, gate)(image, mask).flatten()


@pytest.mark.parametrize("gate", ["tanh", "residual"])
def test_it_begins_as_the_image_and_learns_from_the_mask(gate):
    encoding, image = DynamicEncoding(4, gate), torch.randn(1, 4, 5, 5)
    out = encoding(image, torch.randn(2, 4, 5, 5))
    assert torch.equal(out, image.expand(2, -1, -1, -1))
    out.square().sum().backward()
    assert encoding.mask_norm.weight.grad.any()


def test_exact_is_equation_3():
    assert torch.allclose(of("exact"), torch.tensor(EXACT), atol=1e-4)


def test_residual_adds_the_image():
    assert torch.allclose(of("residual"), torch.zeros(2), atol=1e-4)


def test_tanh_bounds_what_the_mask_says():
    factor = 1 + math.tanh(-1)
    assert torch.allclose(of("tanh"), torch.tensor([factor, 3 * factor]), atol=1e-4)


@pytest.mark.parametrize("size", [(4, 6), (3, 5, 2)])
@pytest.mark.parametrize("gate", ["tanh", "exact", "residual"])
def test_samples_share_an_image_as_if_it_were_repeated(gate, size):
    encoding, image, mask = encoding_of(3, gate), torch.randn(2, 3, *size), torch.randn(6, 3, *size)
    repeated = encoding(image.repeat_interleave(3, dim=0), mask)
    assert torch.allclose(encoding(image, mask), repeated, atol=1e-6)


def test_the_norm_is_over_channels_alone():
    image, mask = torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    encoding = DynamicEncoding(4, "exact")
    assert torch.allclose(
        encoding(image, mask)[..., :2, :3], encoding(image[..., :2, :3], mask[..., :2, :3]), atol=1e-6
    )


def test_an_unknown_gate_is_refused():
    with pytest.raises(ValueError, match="gate is 'sigmoid', expected one of tanh, exact, residual"):
        DynamicEncoding(4, "sigmoid")
