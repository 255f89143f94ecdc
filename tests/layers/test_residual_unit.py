"""Units of encoder, bottleneck and decoder: shapes, and where the residuals and time vectors go."""

import pytest
import torch

from noise2mask.layers.residual_unit import Bottleneck, EncoderUnit, ResidualPair, UpUnit

T = torch.tensor([3, 700])


def test_the_residual_goes_around_the_second_block_only():
    pair, x = ResidualPair(8, 16, 4), torch.randn(2, 8, 6, 6)
    pair.block2[2].weight.data.zero_()
    pair.block2[2].bias.data.zero_()
    assert torch.equal(pair(x), pair.block1(x))


def test_a_block_is_norm_then_activation_then_convolution():
    assert [type(part).__name__ for part in ResidualPair(8, 16, 4).block1] == ["GroupNorm", "SiLU", "Conv2d"]


@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
def test_the_encoder_unit_returns_the_skip_before_downsampling(size):
    skip, down = EncoderUnit(8, 16, 8, 4)(torch.randn(2, 8, *size), T)
    assert skip.shape == (2, 16, *size)
    assert down.shape == (2, 16, size[0] // 2, size[1] // 2)


def test_one_timestep_serves_the_whole_batch():
    unit, x = EncoderUnit(8, 16, 8, 4), torch.randn(2, 8, 6, 6)
    one, each = unit(x, T[1:]), unit(x, T[1:].repeat(2))
    assert torch.allclose(one[1], each[1], atol=1e-6)


@pytest.mark.parametrize("index", [0, 1])
def test_units_see_the_timestep(index):
    x, skip = torch.randn(1, 16, 4, 4), torch.randn(1, 16, 8, 8)
    unit, arguments = [(EncoderUnit(16, 8, 8, 4), (x,)), (UpUnit(16, 8, 8, 4), (x, skip))][index]
    first, second = unit(*arguments, T[:1]), unit(*arguments, T[1:])
    assert not torch.allclose(*(out[0] if isinstance(out, tuple) else out for out in (first, second)), atol=1e-4)


def test_the_up_unit_doubles_the_size_and_uses_the_skip():
    unit, x, skip = UpUnit(16, 8, 8, 4), torch.randn(2, 16, 3, 4), torch.randn(2, 16, 6, 8)
    assert unit(x, skip, T).shape == (2, 8, 6, 8)
    assert not torch.allclose(unit(x, skip, T), unit(x, skip + torch.randn_like(skip), T))


def test_the_bottleneck_keeps_the_shape():
    assert Bottleneck(16, 4)(torch.randn(2, 16, 3, 5)).shape == (2, 16, 3, 5)
