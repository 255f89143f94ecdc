"""Slim dense block: equation 1, literally."""

import pytest
import torch

from noise2mask.layers.slim_dense import SlimDenseBlock


def block(num_layers, chi=0.2, **options):
    torch.manual_seed(0)
    return SlimDenseBlock(1, 8, num_layers, chi=chi, **options).eval()


def test_one_layer_is_h_alone():
    sdb, x = block(1), torch.randn(2, 1, 6, 6)
    assert torch.equal(sdb(x), sdb.layers[0](x))


def test_without_chi_it_is_a_plain_chain():
    sdb, x = block(3, chi=0.0), torch.randn(2, 1, 6, 6)
    h1, h2, h3 = sdb.layers
    assert torch.equal(sdb(x), h3(h2(h1(x))))


def test_three_layers_follow_equation_1():
    sdb, x0 = block(3), torch.randn(2, 1, 6, 6)
    h1, h2, h3 = sdb.layers
    x1 = h1(x0)
    x2 = h2(x1) + 0.2 * x1
    x3 = h3(x2) + 0.2 * (x1 + x2)
    assert torch.allclose(sdb(x0), x3, atol=1e-6)


def test_the_raw_form_sums_bare_layers():
    sdb, x0 = block(3, dense_sum="raw"), torch.randn(2, 1, 6, 6)
    h1, h2, h3 = sdb.layers
    y1 = h1(x0)
    y2 = h2(y1)
    x2 = y2 + 0.2 * y1
    assert torch.allclose(sdb(x0), h3(x2) + 0.2 * (y1 + y2), atol=1e-6)
    assert torch.equal(block(2, dense_sum="raw")(x0), block(2)(x0))


def test_an_unknown_sum_is_refused():
    with pytest.raises(ValueError, match="'outputs' or 'raw', found 'all'"):
        block(1, dense_sum="all")


def test_a_layer_is_two_convolutions_a_norm_and_a_leaky_relu():
    names = [type(part).__name__ for part in block(2).layers[1]]
    assert names == ["Conv2d", "Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert [type(part).__name__ for part in block(2, norm="group").layers[1]][2] == "GroupNorm"


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="'batch' or 'group', found 'layer'"):
        block(1, norm="layer")
