"""FF-Parser: the identity at the start, one frequency response at every size, real maps, float32 under autocast."""

import pytest
import torch

from noise2mask.layers.ff_parser import FFParser

SIZES = [(8, 8), (7, 9), (12, 5), (1, 6), (6, 4, 8), (5, 7, 3)]


def scrambled(parser):
    """The same with weights of no symmetry."""
    torch.nn.init.normal_(parser.weight, generator=torch.Generator().manual_seed(0))
    return parser


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_identity_at_the_start(size):
    x = torch.randn(2, 3, *size)
    assert torch.allclose(FFParser(3, len(size), grid=8)(x), x, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_any_filter_is_that_of_a_real_map(size):
    response = scrambled(FFParser(1, len(size), grid=8)).filter(torch.Size((*size[:-1], 2 * size[-1])))[0]
    axes = tuple(range(len(size) - 1))
    for column in (response[..., 0], response[..., -1]):  # frequencies 0 and 1/2 of the halved axis
        assert torch.allclose(column, column.flip(axes).roll([1] * len(axes), axes).conj(), atol=1e-5)


def test_at_the_size_of_its_grid_the_filter_is_what_is_stored():
    parser = scrambled(FFParser(2, grid=8))
    inner = torch.view_as_complex(parser.weight)[..., 1:-1]  # whose columns need no symmetry
    assert torch.allclose(parser.filter(torch.Size((8, 8)))[..., 1:-1], inner, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (24, 8), (8, 40)])
def test_shared_frequencies_have_the_same_response_at_every_size(size):
    parser = scrambled(FFParser(2, grid=8))
    rows, columns = (length // 8 for length in size)
    shared = parser.filter(torch.Size(size))[:, ::rows, ::columns]
    assert torch.allclose(shared, parser.filter(torch.Size((8, 8))), atol=1e-5)


def test_between_stored_frequencies_the_response_is_linear_and_periodic():
    parser = scrambled(FFParser(1, grid=4))
    response, coarse = (parser.filter(torch.Size((size, 4)))[0, :, 1] for size in (8, 4))
    assert torch.allclose(response[1], (coarse[0] + coarse[1]) / 2, atol=1e-6)
    assert torch.allclose(response[7], (coarse[3] + coarse[0]) / 2, atol=1e-6)  # frequency -1/8


def test_a_filter_of_the_constant_frequency_leaves_the_mean():
    parser, x = FFParser(1, grid=4), torch.randn(1, 1, 4, 4)
    parser.weight.data.zero_()
    parser.weight.data[0, 0, 0, 0] = 1
    assert torch.allclose(parser(x), x.mean().expand_as(x), atol=1e-6)


def test_a_shift_is_a_phase():
    parser, x = FFParser(1, grid=8), torch.randn(1, 1, 8, 8)
    turned = torch.polar(torch.ones(8), -2 * torch.pi * torch.fft.fftfreq(8))  # one row downwards
    parser.weight.data[0] = torch.view_as_real(turned)[:, None].expand(8, 5, 2)
    parser.weight.data[0, 4] = torch.tensor([-1.0, 0.0])
    assert torch.allclose(parser(x), x.roll(1, 2), atol=1e-5)


def test_under_autocast_it_computes_in_float32_and_returns_what_it_was_given():
    parser, x = scrambled(FFParser(2, grid=4)), torch.randn(1, 2, 6, 6).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = parser(x)
    assert out.dtype == torch.bfloat16 and torch.equal(out, parser(x.float()).bfloat16())


def test_every_weight_is_trained():
    parser = FFParser(1, grid=4)
    parser(torch.randn(1, 1, 4, 6)).square().sum().backward()
    assert (parser.weight.grad[..., 0] != 0).all()


@pytest.mark.parametrize(("arguments", "words"), [((4, 2, 7), "grid is 7"), ((4, 1, 8), "spatial_dims is 1")])
def test_impossible_filters_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        FFParser(*arguments)
