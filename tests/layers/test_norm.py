"""GroupNorm for any width; LayerNorm over the channels, also with the timestep's scale and shift."""

import pytest
import torch

from noise2mask.layers.norm import CHANNELS_LAST, ChannelNorm, TimeNorm, group_norm


@pytest.mark.parametrize(("groups", "channels", "expected"), [(16, 64, 16), (16, 24, 8), (16, 7, 1), (1, 64, 1)])
def test_groups_divide_the_width(groups, channels, expected):
    norm = group_norm(groups, channels)
    assert (norm.num_groups, norm.num_channels) == (expected, channels)


@pytest.mark.parametrize("groups", [2, 6])
@pytest.mark.parametrize("size", [(5, 4), (3, 4, 2)])
def test_channels_that_come_last_in_memory_change_nothing_and_stay_last(groups, size):
    norm, layout = group_norm(groups, 6), CHANNELS_LAST[2 + len(size)]
    torch.nn.init.normal_(norm.weight)
    x, towards = torch.randn(2, 6, *size), torch.randn(2, 6, *size)
    found = []
    for own in (x, x.contiguous(memory_format=layout)):
        own = own.clone().requires_grad_()
        y = norm(own)
        assert y.stride() == own.stride()
        found.append((y, *torch.autograd.grad((y * towards).sum(), (own, norm.weight, norm.bias))))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("size", [(1, 2), (2, 1, 1)])
def test_every_place_is_normed_over_its_channels(size):
    x = torch.tensor([[1.0, 5.0], [3.0, 5.5]]).reshape(1, 2, *size)  # places (1, 3) and (5, 5.5)
    norm = ChannelNorm(2)
    norm.bias.data.copy_(torch.tensor([0.0, 1.0]))
    assert torch.allclose(norm(x).reshape(2, 2), torch.tensor([[-1.0, -1.0], [2.0, 2.0]]), atol=1e-3)


def test_the_timestep_scales_and_shifts_what_was_normed():
    norm, x = TimeNorm(2, 1), torch.tensor([1.0, 3.0]).expand(2, 3, 2)  # normed: (-1, 1)
    norm.time[1].weight.data.zero_()
    norm.time[1].bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 5.0]))  # scales, shifts
    assert torch.allclose(norm(x, torch.zeros(1, 1)), torch.tensor([-2.0, 6.0]).expand(2, 3, 2), atol=1e-3)


def test_every_image_has_the_norm_of_its_timestep():
    norm, x, embedding = TimeNorm(4, 3), torch.randn(2, 5, 4), torch.randn(2, 3)
    looped = [norm(x[b][None], embedding[b][None]) for b in range(2)]
    assert torch.allclose(norm(x, embedding), torch.cat(looped), atol=1e-6)
