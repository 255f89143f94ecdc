"""Parameter-shared attention: the weights of an output sum to 1, and the fused kernel equals the printed formula."""

import pytest
import torch

from noise2mask.layers import psa as module
from noise2mask.layers.psa import ParameterSharedAttention

FLOWS = ("condition", "denoising")
SIZES = [(4, 6), (16, 20)]  # 24 tokens stay below the padding threshold, 320 are above it


def attention(channels=16, gain=1.0, **options):
    torch.manual_seed(0)
    psa = ParameterSharedAttention(channels, **options)
    for flow in FLOWS:
        psa.gain[flow].data.fill_(gain)
    return psa


def explicit(psa, x, flow, queries=None, keys=None, axis=1, scale=1.0):
    """Equations 3 to 5 with the stored N x N matrix; S[m, n] is q at m times k at n, and v . A sums over m."""
    inputs = (x if queries is None else queries, x if keys is None else keys, x)
    layers = (psa.query, psa.key, psa.value[flow])
    q, k, v = (layer(part).flatten(2) for layer, part in zip(layers, inputs, strict=True))  # (B, C', L)
    weights = (scale * torch.einsum("bcm,bcn->bmn", q, k)).softmax(dim=axis)  # (B, L, L), over m a column sums to 1
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


@pytest.mark.parametrize("size", SIZES)
def test_the_released_form_scales_by_the_root_and_sums_weights_over_outputs(size):
    psa, x = attention(axis="output", scale="sqrt"), torch.randn(2, 16, *size)
    assert torch.allclose(psa.attend(x, "denoising"), explicit(psa, x, "denoising", axis=2, scale=2**-0.5), atol=1e-5)


def test_over_the_output_axis_a_constant_value_does_not_stay_constant():
    psa, x = attention(axis="output"), 3 * torch.randn(2, 16, 4, 4)
    psa.value["condition"].weight.data.zero_()
    psa.value["condition"].bias.data.fill_(1.0)
    change = psa.attend(x, "condition") - x
    assert change.max() - change.min() > 0.1
    assert torch.allclose(change.mean(), torch.ones(()), atol=1e-5)  # the weights of an input sum to 1


def test_scale_makes_the_same_weights_as_smaller_queries():
    scaled, plain, x = attention(scale="sqrt"), attention(), torch.randn(2, 16, 4, 4)
    for parameter in plain.query.parameters():
        parameter.data.mul_(2**-0.5)  # q and k are 2 wide
    assert torch.allclose(scaled.attend(x, "condition"), plain.attend(x, "condition"), atol=1e-6)


def test_exchange_by_map_uses_the_other_flow_s_weights():
    psa, (x1, x2) = attention(exchange="map"), torch.randn(2, 2, 16, 4, 6)
    y1, y2 = psa(x1, x2)
    assert torch.allclose(y1, explicit(psa, x1, "condition", queries=x2, keys=x2), atol=1e-5)
    assert torch.allclose(y2, explicit(psa, x2, "denoising", queries=x1, keys=x1), atol=1e-5)


def test_exchange_by_query_meets_the_other_flow_s_queries():
    psa, (x1, x2) = attention(exchange="query"), torch.randn(2, 2, 16, 4, 6)
    y1, y2 = psa(x1, x2)
    assert torch.allclose(y1, explicit(psa, x1, "condition", queries=x2), atol=1e-5)
    assert torch.allclose(y2, explicit(psa, x2, "denoising", queries=x1), atol=1e-5)


def test_an_exchange_needs_both_flows():
    with pytest.raises(ValueError, match="exchange 'map' needs both flows"):
        attention(exchange="map").attend(torch.zeros(1, 16, 4, 4), "condition")


@pytest.mark.parametrize("option", ["scale", "axis", "exchange"])
def test_an_unknown_choice_is_refused(option):
    with pytest.raises(ValueError, match=f"{option} of PSA is 'other'"):
        ParameterSharedAttention(16, **{option: "other"})


def test_a_width_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 8, found 12"):
        ParameterSharedAttention(12)
