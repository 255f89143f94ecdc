"""The simulated echo has the statistics of fully developed speckle and keeps to its levels."""

import numpy as np
import pytest

from noise2mask.data.demo_echo import FINE, PSF, depth_gain, display, path_levels, smooth_noise, speckle, tissue, white


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def echo(rng):
    return speckle(white((512, 512), rng), PSF)


def correlation(field, axis, lag):
    return np.mean(field * np.roll(field, lag, axis).conj()).real / np.mean(np.abs(field) ** 2)


def test_the_amplitude_of_speckle_is_rayleigh_distributed(echo):
    amplitude = np.abs(echo)
    assert amplitude.mean() / amplitude.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)  # 1.91
    for share in (0.1, 0.5, 0.9):  # quantiles of a Rayleigh distribution with mean power 1
        assert np.quantile(amplitude, share) == pytest.approx(np.sqrt(-np.log(1 - share)), rel=0.03)


@pytest.mark.parametrize("axis, lag", [(0, 1), (0, 2), (1, 1), (1, 3)])
def test_the_echo_is_correlated_by_the_point_spread_function(echo, axis, lag):
    assert correlation(echo, axis, lag) == pytest.approx(np.exp(-((lag / PSF[axis]) ** 2) / 4), abs=0.03)


def test_speckle_is_wider_across_the_beam_and_keeps_the_power(echo):
    assert correlation(echo, 1, 2) > correlation(echo, 0, 2) + 0.3
    assert np.mean(np.abs(echo) ** 2) == pytest.approx(1, rel=0.03)


def test_the_display_is_logarithmic(rng):
    grey = [display(np.full((64, 64), level), 0, 1, rng).mean() for level in (-20.0, -10.0, 0.0)]
    assert grey[1] - grey[0] == pytest.approx(grey[2] - grey[1], abs=3) and grey[2] - grey[1] > 30


def test_more_looks_make_less_speckle(rng):
    single, compound = (display(np.zeros((64, 64)), 0, looks, rng).std() for looks in (1, 4))
    assert compound < 0.6 * single


def test_skin_does_not_shine_at_the_bottom(rng):
    levels = np.full((40, 40), -30.0)
    levels[:5] = 10
    picture = display(levels, 0, 4, rng)
    assert picture.shape == levels.shape and picture[:4].mean() > 150
    assert picture[-1].mean() == pytest.approx(picture[20:-5].mean(), abs=12)


def test_a_shadow_lies_below_and_grows_with_the_path():
    inside = np.zeros((60, 40))
    inside[10:20, 8:16], inside[10:15, 24:32] = 1, 1
    levels = path_levels(inside, -10)
    assert np.all(levels[:10] == 0) and levels[21, 12] == pytest.approx(-10, rel=0.15)
    assert levels[21, 28] == pytest.approx(levels[21, 12] / 2, rel=0.05)


def test_it_gets_darker_with_depth(rng):
    levels = depth_gain((50, 30), 20, rng)
    assert levels[-1].mean() < levels[0].mean() - 10


def test_layers_have_their_levels(rng):
    layers, levels = np.array([0.05, 0.25, 0.65, 0.85]), np.array([2.0, -8.0, 0.0, -9.0, -18.0])
    body = np.mean([tissue((120, 100), layers, levels, rng) for _ in range(6)], axis=0)
    assert body[50:70].mean() > body[88:98].mean() + 4 > body[112:].mean() + 8


def test_smooth_noise_has_unit_deviation(rng):
    noise = smooth_noise((40, 50), (2, 5), rng)
    assert noise.std() == pytest.approx(1, rel=1e-3) and np.abs(np.diff(noise, axis=1)).mean() < 0.3
    assert FINE == 2
