"""CAA: nothing at the start, soon different at every place, the formula, keys shared by samples."""

import torch

from noise2mask.layers.cross_attention_alignment import CrossAttentionAlignment


def alignment(scrambled=True):
    torch.manual_seed(0)
    made = CrossAttentionAlignment(8, tokens=6, embedding=10, num_groups=4)
    if scrambled:
        torch.nn.init.normal_(made.out.weight)
    return made


def test_a_fresh_block_changes_nothing():
    block, x = alignment(scrambled=False), torch.randn(2, 8, 3, 5)
    assert torch.equal(block(x, block.keys(torch.randn(2, 10))), x)


def test_after_one_step_places_differ_by_their_query_and_references_differ():
    block, x, reference = alignment(scrambled=False), torch.randn(1, 8, 3, 5), torch.randn(1, 10)
    optimiser = torch.optim.SGD(block.parameters(), 1.0)
    (block(x, block.keys(reference)) - torch.randn_like(x)).square().sum().backward()
    optimiser.step()
    added = block(x, block.keys(reference)) - x
    assert (added.std(dim=(2, 3)) / added.abs().mean()).max() > 1e-3  # a single key would give 0
    assert (block(x, block.keys(-reference)) - x - added).abs().max() > 1e-3


def test_the_block_equals_the_written_formula():
    block, x, reference = alignment(), torch.randn(2, 8, 3, 5), torch.randn(2, 10)
    tokens = block.psi(reference).reshape(2, 6, 8)
    places = block.norm(x).flatten(2).mT @ block.query.weight.T  # (B, L, C)
    weights = (places @ (tokens @ block.key.weight.T).mT / 8**0.5).softmax(dim=-1)  # (B, L, T)
    added = weights @ (tokens @ block.value.weight.T) @ block.out.weight.T  # (B, L, C)
    assert torch.allclose(block(x, block.keys(reference)), x + added.mT.reshape(x.shape), atol=1e-5)


def test_samples_share_their_image_s_keys_and_one_reference_serves_all():
    block, x, reference = alignment(), torch.randn(6, 8, 3, 5), torch.randn(2, 10)
    together, shared = block(x, block.keys(reference)), block(x, block.keys(reference[:1]))
    for m in range(6):
        keys = block.keys(reference[m // 3][None])
        assert torch.allclose(together[m], block(x[m : m + 1], keys)[0], atol=1e-5)
        assert torch.allclose(shared[m], block(x[m : m + 1], block.keys(reference[:1]))[0], atol=1e-5)
