"""FF-Parser's filters as pictures: symmetric, 1 before training, and where a known filter is closed."""

import numpy as np
import pytest
import torch

from noise2mask.explain.spectrum import SpectrumFigures, centred, distance_of, magnitude_of, radial_means
from noise2mask.layers.ff_parser import FFParser
from noise2mask.networks.medsegdiff import MedSegDiff

from . import toy


def test_an_untrained_filter_lets_all_pass():
    filters = centred(FFParser(3, grid=8), (10, 12))
    assert (
        filters.shape == (3, 10, 12) and np.allclose(magnitude_of(filters), 1) and np.allclose(distance_of(filters), 0)
    )


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (8, 6, 4)])
def test_the_whole_filter_is_that_of_a_real_map(size):
    parser = FFParser(2, spatial_dims=len(size), grid=8)
    torch.nn.init.normal_(parser.weight)
    whole = np.fft.ifftshift(centred(parser, size), axes=(1, 2))
    mirrored = np.roll(whole[:, ::-1, ::-1], (1, 1), axis=(1, 2)).conj()
    assert np.allclose(whole, mirrored, atol=1e-5)


def test_what_the_filter_does_to_an_impulse_is_its_spectrum():
    parser = FFParser(1, grid=8)
    torch.nn.init.normal_(parser.weight)
    impulse = torch.zeros(1, 1, 8, 6)
    impulse[..., 0, 0] = 1
    with torch.no_grad():
        response = np.fft.fftshift(np.fft.fft2(parser(impulse)[0, 0].numpy()))
    assert np.allclose(response, centred(parser, (8, 6))[0], atol=1e-5)


def test_rings_of_a_filter_that_is_closed_above_a_quarter():
    radius = np.hypot(*np.meshgrid(*[np.fft.fftshift(np.fft.fftfreq(32))] * 2))
    rows = radial_means((radius < 0.25).astype(float))
    assert [row["mean"] for row in rows] == [1, 1, 1, 1, 0, 0, 0, 0, 0] and rows[-1]["frequency_to"] == 1


def test_a_network_s_parsers_have_a_picture_a_table_and_their_features(tmp_path):
    net = MedSegDiff(base=4, blocks=(1, 1, 1, 1), downsamplings=4, num_groups=2, grid=8).eval()
    rows = SpectrumFigures(toy.subject(tmp_path, net, toy.dataset(), most_steps=2)).run()
    assert {row["parser"] for row in rows} == {"parsers.0", "parsers.1"}
    assert all(row["mean"] == pytest.approx(1) and row["mean_distance_from_1"] == pytest.approx(0) for row in rows)
    names = {"spectrum.png", "spectrum.csv", "spectrum_features.csv", "spectrum_case_0.png", "spectrum_case_1.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert not any(module._forward_hooks for module in net.modules())


def test_a_network_that_has_nothing_of_it_is_left_out(tmp_path):
    assert SpectrumFigures(toy.subject(tmp_path, toy.network(), toy.dataset())).run() == []
    assert list(tmp_path.iterdir()) == []
