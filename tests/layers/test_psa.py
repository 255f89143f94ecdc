"""Parameter-shared attention: the weights of an output sum to 1, and the fused kernel equals the printed formula."""

import pytest
import torch

from noise2mask.layers import psa as module
from noise2mask.layers.psa import ParameterSharedAttention

FLOWS = ("condition", "denoising")
SIZES = [(4, 6), (16, 20)]  # 24 tokens stay below the padding threshold, 320 are above it


def attention(channels=16, gain=1.0):
    torch.manual_seed(0)
    psa = ParameterSharedAttention(channels)
    for flow in FLOWS:
        psa.gain[flow].data.fill_(gain)
    return psa


def explicit(psa, x, flow):
    """Equations 3 to 5 with the stored N x N matrix; S[m, n] is q at m times k at n, and v . A sums over m."""
    q, k, v = (layer(x).flatten(2) for layer in (psa.query, psa.key, psa.value[flow]))  # (B, C', L)
    weights = torch.einsum("bcm,bcn->bmn", q, k).softmax(dim=1)  # (B, L, L), a column sums to 1
    return psa.gain[flow] * torch.einsum("bcm,bmn->bcn", v, weights).reshape(x.shape) + x


def test_it_is_the_identity_at_the_start():
    x1, x2 = torch.randn(2, 2, 16, 4, 4)
    y1, y2 = ParameterSharedAttention(16)(x1, x2)
    assert torch.equal(y1, x1) and torch.equal(y2, x2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flow", FLOWS)
def test_it_equals_an_explicit_softmax_over_the_summed_axis(size, flow):
    psa, x = attention(), torch.randn(2, 16, *size)
    assert torch.allclose(psa.attend(x, flow), explicit(psa, x, flow), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_a_constant_value_stays_that_constant(size):
    psa, x = attention(), torch.randn(2, 16, *size)
    psa.value["condition"].weight.data.zero_()
    psa.value["condition"].bias.data.fill_(3.0)
    assert torch.allclose(psa.attend(x, "condition"), x + 3, atol=1e-5)


def test_padded_equals_unpadded(monkeypatch):
    psa, x = attention(), torch.randn(2, 16, 16, 16)
    padded = psa.attend(x, "denoising")
    monkeypatch.setattr(module, "PAD_FROM_TOKENS", 10**6)
    assert torch.allclose(padded, psa.attend(x, "denoising"), atol=1e-6)


def test_each_flow_uses_its_own_value_and_gain_and_sees_nothing_of_the_other():
    psa = attention()
    x1, x2 = torch.randn(2, 1, 16, 4, 4)
    y1, y2 = psa(x1, x2)
    psa.value["denoising"].weight.data.zero_()
    psa.gain["denoising"].data.fill_(7)
    z1, z2 = psa(x1, x2 + 1)
    assert torch.equal(y1, z1) and not torch.allclose(y2, z2)


def test_both_flows_train_the_shared_projections():
    for flow in FLOWS:
        psa = attention()
        psa.attend(torch.randn(1, 16, 4, 4), flow).square().sum().backward()
        assert psa.query.weight.grad.abs().sum() > 0 and psa.key.weight.grad.abs().sum() > 0


def test_a_width_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 8, found 12"):
        ParameterSharedAttention(12)
