"""U-SA: its Gaussian is one whatever its parameters, a point makes it plain attention, and images share one gate."""

from math import exp

import pytest
import torch

from noise2mask.layers.uncertain_attention import Gaussian, UncertainAttention, gated

SIZES = [(8, 8), (9, 4), (1, 5), (4, 5, 3)]


def gaussian(channels, dims, sigma=0.0, shift=0.0):
    """With these parameters: log sigma, and what the mean is made of."""
    made = Gaussian(channels, dims)
    torch.nn.init.constant_(made.log_sigma, sigma)
    torch.nn.init.constant_(made.shift, shift)
    return made


def test_its_taps_are_a_gaussian_of_one_pixel_at_the_start():
    weights = [exp(-(place**2) / 2) for place in range(-3, 4)]
    expected = torch.tensor(weights) / sum(weights)
    assert torch.allclose(Gaussian(2, 3).taps(), expected.expand(3, 2, 7))


def test_it_smooths_with_the_gaussian_of_the_plane():
    torch.manual_seed(0)
    made, x = gaussian(1, 2), torch.randn(1, 1, 7, 7)
    torch.nn.init.normal_(made.shift)
    rows, columns = 3 * made.shift[:, 0].tanh()
    place = torch.arange(-3.0, 4.0)
    distance = (place[:, None] - rows).square() + (place - columns).square()
    weights = (-distance / 2).flatten().softmax(0).reshape(7, 7)  # over all 49 taps
    assert torch.allclose(made(x)[0, 0, 3, 3], (weights * x[0, 0]).sum(), atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_a_point_at_the_centre_is_plain_spatial_attention(size):
    x = torch.randn(2, 3, *size)
    uncertain, plain = UncertainAttention(3, len(size)), UncertainAttention(3, len(size), uncertain=False)
    uncertain.gaussian = gaussian(3, len(size), sigma=-9.0)
    plain.reduce.load_state_dict(uncertain.reduce.state_dict())
    assert torch.allclose(uncertain(x), plain(x), atol=1e-6)
    assert torch.allclose(plain(x), plain.reduce(x).sigmoid())


@pytest.mark.parametrize("size", SIZES)
def test_constants_stay_constants(size):
    x = torch.full((1, 2, *size), 5.0)
    assert torch.allclose(gaussian(2, len(size), shift=0.7)(x), x)


def test_a_mean_at_its_bound_looks_three_pixels_away():
    x = torch.arange(10.0).expand(1, 1, 10, 10)
    moved = gaussian(1, 2, sigma=-9.0, shift=50.0)(x)[0, 0, 0]
    assert moved.tolist() == pytest.approx([3, 4, 5, 6, 7, 8, 9, 9, 9, 9])  # the border repeats


@pytest.mark.parametrize("sigma", [-1e30, 1e30, float("inf")])
@pytest.mark.parametrize("shift", [-1e30, 0.0, float("inf")])
def test_no_parameter_makes_it_undefined(sigma, shift):
    made, x = gaussian(2, 2, sigma, shift), torch.randn(1, 2, 5, 6, requires_grad=True)
    out = made(x)
    out.square().sum().backward()
    assert all(values.isfinite().all() for values in (out, x.grad, made.shift.grad, made.log_sigma.grad))
    assert out.min() >= x.min() - 1e-5 and out.max() <= x.max() + 1e-5


def test_the_maximum_only_raises_features():
    attention, x = UncertainAttention(1), torch.zeros(1, 1, 7, 7)
    x[..., 3, 3] = 1
    torch.nn.init.ones_(attention.reduce.weight)
    change = attention(x) - attention.reduce(x).sigmoid()
    assert change[..., 3, 3] == 0 and (change[..., 2:5, 2:5].flatten(1).sort().values[:, 1:] > 0).all()


def test_a_volume_of_one_slice_is_smoothed_like_the_slice():
    flat, deep, x = Gaussian(4, 2), Gaussian(4, 3), torch.randn(2, 4, 5, 6)
    torch.nn.init.normal_(deep.shift)
    flat.shift.data.copy_(deep.shift.data[:2])
    assert torch.allclose(deep(x[..., None])[..., 0], flat(x), atol=1e-6)


def test_samples_of_an_image_share_its_gate():
    gate, x = torch.rand(2, 1, 4, 5), torch.randn(6, 3, 4, 5)
    looped = torch.stack([gate[m // 3] * x[m] + x[m] for m in range(6)])
    assert torch.allclose(gated(x, gate), looped)


def test_under_autocast_a_constant_stays_near_it():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(gaussian(2, 2)(torch.ones(1, 2, 5, 5)).float(), torch.ones(1, 2, 5, 5), atol=0.02)


def test_every_weight_is_trained():
    attention = UncertainAttention(3)
    gated(torch.randn(4, 2, 6, 6), attention(torch.randn(2, 3, 6, 6))).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in attention.parameters())
