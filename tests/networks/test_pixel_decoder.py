"""The small decoder of the probe: at each pixel a perceptron, whatever stands beside it."""

import torch
from torch.nn.functional import interpolate

from noise2mask.networks.pixel_decoder import PixelDecoder


def test_a_convolution_before_the_interpolation_equals_one_behind_it():
    decoder = PixelDecoder(5, 3).eval()
    x = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    large = interpolate(x, (8, 12), mode="bilinear", align_corners=False)
    assert torch.allclose(decoder(x, (8, 12)), decoder.rest(decoder.first(large)), atol=1e-5)


def test_a_pixel_sees_only_its_own_features():
    decoder = PixelDecoder(5, 3).eval()
    x = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., 1, 2] += 1
    differs = (decoder(x, (4, 4)) - decoder(changed, (4, 4))).abs().amax(1)[0] > 1e-6
    assert differs.nonzero().tolist() == [[1, 2]]


def test_the_widths_are_those_of_the_specification():
    shapes = [tuple(weight.shape[:2]) for weight in PixelDecoder(64, 3).parameters() if weight.ndim == 4]
    assert shapes == [(128, 64), (32, 128), (3, 32)]
