"""Residual block with scale and shift: its shortcut at the start, the formula, both norms, all sizes."""

import pytest
import torch
import torch.nn.functional as F

from noise2mask.layers.scale_shift_block import ScaleShiftBlock

SIZES = {"none": (6, 4), "down": (3, 2), "up": (12, 8)}


def modulations(block, x, size):
    mask = torch.rand(len(x), 3, 12, 8)
    return [norm.modulation(F.interpolate(mask, at)) for norm, at in zip(block.norms, (x.shape[2:], size), strict=True)]


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize(("resample", "size"), SIZES.items())
def test_at_the_start_a_block_is_its_resampled_shortcut(resample, size, classes):
    x, embedding = torch.randn(2, 4, 6, 4), torch.randn(2, 8)
    expected = {"none": x, "down": F.avg_pool2d(x, 2), "up": x.repeat_interleave(2, 2).repeat_interleave(2, 3)}
    block = ScaleShiftBlock(4, 4, 8, 2, classes, resample)
    given = None if classes is None else modulations(block, x, size)
    assert torch.equal(block(x, embedding, given), expected[resample])
    wider = ScaleShiftBlock(4, 6, 8, 2, None, resample)
    assert torch.equal(wider(x, embedding), wider.shortcut(expected[resample]))


@pytest.mark.parametrize("classes", [None, 3])
def test_the_timestep_scales_and_shifts_behind_the_second_norm(classes):
    block, x, embedding = ScaleShiftBlock(4, 6, 8, 2, classes), torch.randn(2, 4, 6, 4), torch.randn(2, 8)
    torch.nn.init.normal_(block.second[2].weight)
    given = None if classes is None else modulations(block, x, (6, 4))
    norm = [lambda x, i=i: block.norms[i](x) if given is None else block.norms[i](x, given[i]) for i in range(2)]
    scale, shift = block.time(embedding)[..., None, None].chunk(2, dim=1)
    u = norm[1](block.first(F.silu(norm[0](x)))) * (1 + scale) + shift
    expected = block.shortcut(x) + block.second[2](F.silu(u))
    assert torch.allclose(block(x, embedding, given), expected, atol=1e-6)


def test_dropout_acts_in_training_alone():
    block, x, embedding = ScaleShiftBlock(4, 4, 8, 2, dropout=0.5), torch.randn(2, 4, 6, 4), torch.randn(1, 8)
    torch.nn.init.normal_(block.second[2].weight)
    assert not torch.equal(block(x, embedding), block(x, embedding))
    block.eval()
    assert torch.equal(block(x, embedding), block(x, embedding))


def test_an_unknown_way_to_resample_is_refused():
    with pytest.raises(ValueError, match="resample is 'half', expected one of none, down, up"):
        ScaleShiftBlock(4, 4, 8, 2, resample="half")
