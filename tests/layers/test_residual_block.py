"""Residual blocks and stages: their shortcut at the start, time, 2D and 3D."""

import pytest
import torch

from noise2mask.layers.residual_block import ResidualBlock, Stage, UpStage


@pytest.mark.parametrize("size", [(6, 5), (4, 3, 5)])
def test_a_block_is_its_shortcut_at_the_start(size):
    x, dims = torch.randn(2, 4, *size), len(size)
    assert torch.equal(ResidualBlock(4, 4, None, 2, dims)(x, None), x)
    wider = ResidualBlock(4, 6, None, 2, dims)
    assert torch.equal(wider(x, None), wider.shortcut(x))


def test_the_embedding_is_added_between_both_convolutions():
    block, x = ResidualBlock(4, 4, 8, 2), torch.randn(2, 4, 3, 3)
    torch.nn.init.normal_(block.second[2].weight)
    embedding = torch.randn(1, 8)
    u = block.first(x) + block.time(embedding)[:, :, None, None]
    assert torch.allclose(block(x, embedding), x + block.second(u), atol=1e-6)


def test_a_stage_widens_in_its_first_block():
    stage = Stage(4, 8, 3, None, 2, 2)
    assert [block.first[2].in_channels for block in stage] == [4, 8, 8]
    assert stage(torch.randn(1, 4, 6, 6)).shape == (1, 8, 6, 6)


@pytest.mark.parametrize("size", [(3, 5), (2, 3, 4)])
def test_an_up_stage_doubles_and_takes_the_skip(size):
    double = tuple(2 * length for length in size)
    stage = UpStage(8, 4, 2, 16, 2, len(size))
    x, skip, embedding = torch.randn(2, 8, *size), torch.randn(2, 4, *double), torch.randn(2, 16)
    out = stage(x, skip, embedding)
    assert out.shape == (2, 4, *double)
    assert not torch.allclose(out, stage(x, skip + 1, embedding))
