"""NBP-Filter: factors between 0 and 1 that depend on the timestep, and are even in the frequencies, at any size."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from noise2mask.layers.nbp_filter import NBPFilter, StackedLinear, by_frequency

GRIDS = [(4, 4), (5, 3), (1, 6), (4, 2, 3), (3, 3, 1)]
EMBEDDING = torch.linspace(-1, 1, 16).reshape(2, 8)  # of two timesteps


def made(modules=3, heads=2):
    """A filter whose factors differ, as those of a trained one."""
    torch.manual_seed(0)
    filter = NBPFilter(modules, heads, 8, hidden=8, blocks=2)
    nn.init.normal_(filter.output.weight)
    nn.init.zeros_(filter.output.bias)
    return filter


class Alone(nn.Module):
    """The network of one module, with the numbers that it has in a filter made by `made`."""

    def __init__(self, filter, module):
        super().__init__()
        self.layers, self.times = nn.ModuleList(), nn.ModuleList()
        weights, biases = (
            x.unflatten(0, (2, 2, 3, 8))[:, :, module].flatten(1, 2) for x in filter.time[1].parameters()
        )
        for k, layer in enumerate(filter.layers):
            self.layers.append(self.linear(layer.weight[module], layer.bias[module]))
            self.times.append(self.linear(weights[k], biases[k]))
        self.output = self.linear(filter.output.weight[module], filter.output.bias[module])

    @staticmethod
    def linear(weight, bias):
        layer = nn.Linear(*weight.mT.shape)
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer

    def forward(self, x, embedding):
        """x (T, H, W, 2)."""
        for layer, time in zip(self.layers, self.times, strict=True):
            scale, shift = time(F.silu(embedding))[:, None, None].chunk(2, dim=-1)
            x = F.silu((1 + scale) * nn.LayerNorm(8, elementwise_affine=False)(layer(x)) + shift)
        return self.output(x).sigmoid().movedim(-1, 1)


def test_at_the_start_nearly_all_passes_and_every_factor_is_below_one():
    factors = NBPFilter(3, 4, 8)(EMBEDDING, (6, 6))
    assert factors.shape[:3] == (2, 3, 4) and (factors > 0.9).all() and (factors < 1).all()


def test_the_factors_depend_on_the_timestep_module_head_and_pair_of_radii():
    factors = made()(EMBEDDING, (4, 4))
    for axis in range(5):
        first, second = factors.unbind(axis)[:2]
        assert (first - second).abs().max() > 0.01


def test_stacked_layers_begin_like_layers_of_their_own():
    torch.manual_seed(0)
    stacked, alone = StackedLinear(500, 4, 3), nn.Linear(4, 3)
    for name, found in stacked.named_parameters():
        assert found.shape[1:] == alone.get_parameter(name).shape
        assert 0.49 < found.abs().max() < 0.5 and found.std().item() == pytest.approx(3**-0.5 / 2, rel=0.05)


def test_timesteps_do_not_meet():
    filter = made()
    looped = torch.cat([filter(row[None], (4, 6)) for row in EMBEDDING])
    assert torch.allclose(filter(EMBEDDING, (4, 6)), looped, atol=1e-6)


def test_a_square_of_16_has_42_radii():
    assert made()(EMBEDDING[:1], (16, 16)).shape == (1, 3, 2, 42, 42)


@pytest.mark.parametrize("grid", GRIDS)
def test_every_pair_of_frequencies_gets_what_a_module_s_own_network_gives_for_its_radii(grid):
    filter = made()
    axes = torch.meshgrid(*map(torch.fft.fftfreq, grid), indexing="ij")
    radius = torch.stack(axes).norm(dim=0) / (len(grid) ** 0.5 / 2)  # (H, W[, D]), 1 at the farthest corner
    pairs = torch.cartesian_prod(radius.flatten(), radius.flatten()).reshape(1, radius.numel(), -1, 2)
    expected = torch.stack([Alone(filter, module)(pairs, EMBEDDING) for module in range(3)], dim=1)
    assert torch.allclose(by_frequency(filter(EMBEDDING, grid), grid), expected, atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_both_signs_of_a_pair_of_frequencies_have_one_factor(grid):
    factors = by_frequency(made()(EMBEDDING, grid)[0, 0, 0], grid).reshape(*grid, *grid)
    axes = tuple(range(factors.ndim))
    assert torch.equal(factors, factors.flip(axes).roll([1] * len(axes), axes))  # frequency k -> -k on every axis


def test_a_frequency_has_the_same_factor_at_every_size():
    filter = made()
    small, large = (by_frequency(filter(EMBEDDING, (size, size)), (size, size)) for size in (4, 8))
    shared = torch.arange(64).reshape(8, 8)[::2, ::2].flatten()
    assert torch.allclose(large[..., shared, :][..., shared], small, atol=1e-5)


def test_every_weight_is_trained():
    filter = made()
    (filter(EMBEDDING, (4, 4)) * torch.randn(2, 3, 2, 6, 6)).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in filter.parameters())
