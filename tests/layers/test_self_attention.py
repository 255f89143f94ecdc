"""Self-attention by hand, in 2D and 3D."""

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
