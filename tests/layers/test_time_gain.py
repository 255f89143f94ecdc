"""TimeGain: nothing at the start, from where it learns; a gain of each timestep's own."""

import pytest
import torch

from noise2mask.layers.time_gain import TimeGain


def test_it_begins_at_zero_and_learns_from_there():
    gain, x = TimeGain(8), torch.randn(2, 3, 4, 5)
    out = gain(x, torch.randn(2, 8))
    assert not out.any()
    (out - x).square().sum().backward()
    assert all(weight.grad.any() for weight in gain.parameters())


@pytest.mark.parametrize("size", [(4, 5), (2, 3, 4)])
def test_each_timestep_has_its_own_gain(size):
    gain, x, embedding = TimeGain(8), torch.randn(2, 3, *size), torch.randn(2, 8)
    torch.nn.init.normal_(gain.gain[1].weight)
    out, (first, second) = gain(x, embedding), gain.gain(embedding).flatten()
    assert torch.allclose(out, torch.stack([x[0] * first, x[1] * second]))
    assert torch.allclose(gain(x, embedding[:1]), x * first)
