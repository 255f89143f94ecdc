"""Self-attention by hand, in 2D and 3D."""

import pytest
import torch

from noise2mask.layers.self_attention import SelfAttention


def test_self_attention_equals_the_written_formula():
    attention, x = SelfAttention(8, 4), torch.randn(2, 8, 3, 5)
    q, k, v = attention.qkv(attention.norm(x)).flatten(2).chunk(3, dim=1)  # (B, C, L) each
    weights = (q.transpose(1, 2) @ k / 8**0.5).softmax(dim=-1)  # (B, L, L), over keys
    mixed = (v @ weights.transpose(1, 2)).reshape(x.shape)
    assert torch.allclose(attention(x), x + attention.out(mixed), atol=1e-6)


def test_a_volume_of_one_slice_is_attended_to_like_the_slice():
    flat, deep, x = SelfAttention(8, 4), SelfAttention(8, 4, 3), torch.randn(2, 8, 3, 5)
    deep.load_state_dict({k: v[..., None] if v.ndim == 4 else v for k, v in flat.state_dict().items()})
    assert torch.allclose(deep(x[..., None])[..., 0], flat(x), atol=1e-6)


def test_heads_attend_each_with_their_own_channels():
    attention, x = SelfAttention(8, 4, heads=2), torch.randn(2, 8, 3, 5)
    q, k, v = attention.qkv(attention.norm(x)).flatten(2).chunk(3, dim=1)  # (B, C, L) each
    heads = zip(*(whole.chunk(2, dim=1) for whole in (q, k, v)), strict=True)
    mixed = [v @ (q.mT @ k / 4**0.5).softmax(dim=-1).mT for q, k, v in heads]
    assert torch.allclose(attention(x), x + attention.out(torch.cat(mixed, dim=1).reshape(x.shape)), atol=1e-6)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="has 8 channels, expected a multiple of its 3 heads"):
        SelfAttention(8, 4, heads=3)
