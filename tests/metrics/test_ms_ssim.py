"""MS-SSIM over a mask's samples: 1 for equal ones, less for others, MONAI's own at 256, and small tiles."""

import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric

from noise2mask.metrics.ms_ssim import WEIGHTS, ms_ssim, scale_weights


def tiles(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("side, scales", [(16, 1), (31, 1), (32, 2), (64, 3), (100, 3), (128, 4), (256, 5), (512, 5)])
def test_the_last_scale_has_16_pixels_at_least_and_all_sizes_work(side, scales):
    assert len(scale_weights(side)) == scales and sum(scale_weights(side)) == pytest.approx(1)
    assert ms_ssim(torch.full((1, 2, 3, side, side), 0.5)).tolist() == pytest.approx([1.0])


def test_large_tiles_have_the_papers_weights():
    samples = tiles(1, 2, 3, 256, 256)
    expected = MultiScaleSSIMMetric(spatial_dims=2)(samples[:, 0], samples[:, 1])
    assert scale_weights(256) == pytest.approx(WEIGHTS, rel=1e-3)
    assert torch.allclose(ms_ssim(samples), expected[:, 0], atol=1e-3)


def test_it_is_the_mean_over_pairs_and_lower_where_samples_differ():
    alike, other = tiles(1, 1, 3, 32, 32), tiles(1, 1, 3, 32, 32).flip(-1)
    pair = ms_ssim(torch.cat([alike, other], dim=1))
    three = ms_ssim(torch.cat([alike, alike, other], dim=1))
    assert pair < 0.5 and torch.allclose(three, (1 + 2 * pair) / 3, atol=1e-5)


def test_bytes_are_as_floats():
    samples = (tiles(2, 2, 3, 32, 32) * 255).round().to(torch.uint8)
    assert torch.allclose(ms_ssim(samples), ms_ssim(samples / 255))


@pytest.mark.parametrize(
    "samples, found",
    [
        (torch.zeros(1, 1, 3, 32, 32), "N at least 2"),
        (torch.zeros(2, 3, 32, 32), r"expected \(B, N, 3, H, W\)"),
        (torch.zeros(1, 2, 3, 32, 15), "side of 15 pixels, expected 16 at least"),
        (torch.full((1, 2, 3, 32, 32), -1.0), r"Tiles hold -1 to -1, expected \[0, 1\]"),
    ],
)
def test_what_can_not_be_compared_is_refused(samples, found):
    with pytest.raises(ValueError, match=found):
        ms_ssim(samples)
