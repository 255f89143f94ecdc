"""Encoder and decoder: sizes, what is handed on, and padding."""

import pytest
import torch

from noise2mask.layers.encoder_decoder import Decoder, Encoder, cropped, padded


@pytest.mark.parametrize("time", [None, 6])
@pytest.mark.parametrize("size", [(8, 12), (8, 4, 16)])
def test_every_stage_has_half_the_size_and_the_decoder_comes_back(time, size):
    dims, embedding = len(size), None if time is None else torch.randn(1, time)
    encoder = Encoder(2, [4, 6], [1, 2], [time] * 2, 2, dims)
    decoder = Decoder(6, [4, 6], 1, 3, time, 2, dims)
    deepest, skips = encoder(torch.randn(5, 2, *size), embedding)
    assert deepest.shape == (5, 6, *(n // 4 for n in size))
    assert [skip.shape for skip in skips] == [(5, 4, *size), (5, 6, *(n // 2 for n in size))]
    features = decoder.features(deepest, skips, embedding)
    assert [feature.shape for feature in features] == [skip.shape for skip in skips]
    assert torch.equal(decoder(deepest, skips, embedding), decoder.output(features[0]))
    assert decoder(deepest, skips, embedding).shape == (5, 3, *size)


def test_a_border_is_repeated_at_the_far_ends_up_to_the_next_multiple():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert padded(x, 2)[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5]]
    assert padded(x, 4)[0, 0, :, 0].tolist() == [0, 3, 3, 3]
    assert padded(x, 1) is x and torch.equal(cropped(padded(x, 4), (2, 3)), x)
