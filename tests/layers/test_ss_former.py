"""SS-Former: e + c at the start, an affinity that is real and, unfiltered, that of space; what is shared, is shared."""

import pytest
import torch

from noise2mask.layers.ss_former import Keys, SSFormer, filtered_affinity, normed, spectrum

GRIDS = [(4, 4), (5, 3), (1, 6), (2, 3, 4), (3, 2, 3)]
E = 6


def made(grid=(4, 3), images=2, samples=3, blocks=2, **options):
    """A former that changes its input, features of noise and image, and the embedding of one timestep per image."""
    torch.manual_seed(0)
    former = SSFormer(8, E, blocks, heads=2, **options)
    for name, parameter in former.named_parameters():
        if name.endswith(("out.weight", "mlp.2.weight", "filter.output.weight")):
            torch.nn.init.normal_(parameter, std=0.3)
    e, c = torch.randn(images * samples, 8, *grid), torch.randn(images, 8, *grid)
    return former, e, c, torch.randn(images, E)


def fourier(grid):
    """The unitary transform of the grid as a matrix (L, L)."""
    identity = torch.eye(torch.Size(grid).numel(), dtype=torch.complex128)
    return torch.fft.fftn(identity.unflatten(0, grid), dim=tuple(range(len(grid))), norm="ortho").flatten(0, -2)


# The affinity


@pytest.mark.parametrize("grid", GRIDS)
def test_without_a_filter_the_affinity_is_that_of_space(grid):
    q, k = torch.randn(2, 2, 3, torch.Size(grid).numel(), 5).unbind()  # (B, h, L, C) each
    open_to_all = torch.ones(1, 1, 1, 1).expand(1, 1, 99, 99)
    affinity = filtered_affinity(spectrum(q, grid), spectrum(k, grid), open_to_all, grid)
    assert torch.allclose(affinity, q @ k.transpose(-2, -1), atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_filtered_affinity_equals_the_two_sided_transform_which_is_real(grid):
    q, k = torch.randn(2, torch.Size(grid).numel(), 5, dtype=torch.float64).unbind()
    axes = torch.meshgrid(*map(torch.fft.fftfreq, grid), indexing="ij")
    _, place = torch.stack(axes).norm(dim=0).mul(1e4).round().unique(return_inverse=True)
    factors = torch.rand(int(place.max()) + 1, int(place.max()) + 1, dtype=torch.float64)
    f, place = fourier(grid), place.flatten()
    whole = f.mH @ ((f @ q.to(f.dtype)) @ (f @ k.to(f.dtype)).mH * factors[place][:, place]) @ f
    affinity = filtered_affinity(spectrum(q, grid), spectrum(k, grid), factors.float(), grid)
    assert whole.imag.abs().max() < 1e-12
    assert torch.allclose(affinity, whole.real.float(), atol=1e-5)


def test_rows_of_the_affinity_are_normalised_by_name():
    rows = torch.tensor([[1.0, -3.0], [0.0, 0.0]])
    assert normed(rows, "l1").tolist() == [[0.25, -0.75], [0.0, 0.0]]
    assert torch.equal(normed(rows, "softmax"), rows.softmax(-1)) and torch.equal(normed(rows, "none"), rows)


@pytest.mark.parametrize("norm", ["l1", "softmax", "none"])
def test_a_module_without_filter_is_plain_cross_attention(norm):
    former, e, c, _ = made(nbp_filter=False, samples=1, norm=norm)
    step, (query, source) = former.steps[0], (x.flatten(2).transpose(1, 2)[:, None] for x in (e, c))
    q = step.query(step.query_norm(query) + place(former, c))
    k, v = (layer(step.key_norm(source) + place(former, c)) for layer in (step.key, step.value))
    heads = [normed(q[..., s] @ k[..., s].mT / 2, norm) @ v[..., s] for s in (slice(0, 4), slice(4, 8))]
    expected = step.out(torch.cat(heads, dim=-1))
    assert torch.allclose(step.attend(query, former.keys(c), None, (4, 3)), expected, atol=1e-5)


def place(former, c):
    """The position that the first module adds: what its query's norm leaves out."""
    step, caught = former.steps[0], []
    hook = step.key.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    former.keys(c)
    hook.remove()
    return caught[0] - step.key_norm(c.flatten(2).transpose(1, 2)[:, None])


@pytest.mark.parametrize("grid", GRIDS)
def test_a_filter_that_lets_all_pass_equals_none(grid):
    former, e, c, embedding = made(grid)
    plain = SSFormer(8, E, 2, heads=2, nbp_filter=False)
    plain.load_state_dict({k: v for k, v in former.state_dict().items() if not k.startswith("filter.")})
    passing = torch.ones_like(former.filters(embedding, grid))
    assert torch.allclose(former(e, c, embedding, passing), plain(e, c, embedding), atol=1e-5)
    assert not torch.allclose(former(e, c, embedding), plain(e, c, embedding), atol=1e-3)


# The blocks


@pytest.mark.parametrize("nbp_filter", [True, False])
def test_at_the_start_it_adds_the_condition_and_gives_it_the_whole_gradient(nbp_filter):
    former = SSFormer(8, E, 2, heads=2, nbp_filter=nbp_filter)
    e, c, out = torch.randn(4, 8, 4, 3), torch.randn(2, 8, 4, 3, requires_grad=True), torch.randn(4, 8, 4, 3)
    made = former(e, c, torch.randn(1, E))
    made.backward(out)
    assert torch.allclose(made, e + c.repeat_interleave(2, dim=0))
    assert torch.allclose(c.grad, out.unflatten(0, (2, 2)).sum(1), atol=1e-6)


@pytest.mark.parametrize("nbp_filter", [True, False])
def test_after_one_step_every_weight_is_trained(nbp_filter):
    torch.manual_seed(0)
    former, target = SSFormer(8, E, 2, heads=2, nbp_filter=nbp_filter), torch.randn(2, 8, 4, 3)
    e, c = torch.randn(2, 2, 8, 4, 3).unbind()
    for _ in range(2):
        for weight in former.parameters():
            weight.data -= 0.1 * (0 if weight.grad is None else weight.grad)
            weight.grad = None
        (former(e, c, torch.ones(1, E)) - target).square().sum().backward()
    assert [name for name, weight in former.named_parameters() if not weight.grad.abs().sum() > 0] == []


def test_both_maps_and_the_timestep_change_what_it_adds():
    former, e, c, embedding = made()
    added = former(e, c, embedding) - e - c.repeat_interleave(3, dim=0)
    for other in (former(e.flip(1), c, embedding) - e.flip(1), former(e, c, -embedding) - e):
        assert not torch.allclose(other - c.repeat_interleave(3, dim=0), added, atol=1e-2)
    moved = former(e.roll(1, 2), c.roll(1, 2), embedding).roll(-1, 2)
    assert not torch.allclose(moved - e - c.repeat_interleave(3, dim=0), added, atol=1e-2)  # places matter


def test_steps_follow_the_figure():
    former, e, c, embedding = made(blocks=1, samples=1)
    grid, filters = (4, 3), former.filters(embedding, (4, 3))
    noise, stream = (x.flatten(2).transpose(1, 2)[:, None] for x in (e, c))
    first, second = former.steps
    middle = first(stream, noise, first.keys(stream, grid), embedding, filters[:, 0], grid)  # query e, key c
    last = second(middle, middle, second.keys(noise, grid), embedding, filters[:, 1], grid)  # query c~, key e
    assert torch.allclose(former(e, c, embedding), e + last[:, 0].mT.reshape(e.shape), atol=1e-6)


# What is shared


@pytest.mark.parametrize("nbp_filter", [True, False])
@pytest.mark.parametrize("grid", [(4, 3), (2, 3, 2)])
def test_batched_equals_looped(nbp_filter, grid):
    former, e, c, embedding = made(grid, nbp_filter=nbp_filter)
    looped = [former(e[m][None], c[m // 3][None], embedding[m // 3][None]) for m in range(len(e))]
    assert torch.allclose(former(e, c, embedding), torch.cat(looped), atol=1e-5)


@pytest.mark.parametrize("nbp_filter", [True, False])
def test_cached_equals_uncached(nbp_filter):
    former, e, c, embedding = made(nbp_filter=nbp_filter)
    filters, keys = former.filters(embedding, c.shape[2:]), former.keys(c)
    assert torch.equal(former(e, c, embedding, filters, Keys(*keys)), former(e, c, embedding))
    assert all(len(tensor) == len(c) and tensor.shape[1] == 1 for tensor in keys)


def test_one_timestep_serves_all_images():
    former, e, c, embedding = made()
    one, each = embedding[:1], embedding[:1].expand(2, E)
    assert torch.allclose(former(e, c, one), former(e, c, each), atol=1e-6)


def test_under_autocast_it_stays_close():
    former, e, c, embedding = made()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = former(e, c, embedding)
    assert torch.allclose(mixed.float(), former(e, c, embedding), atol=0.2) and mixed.isfinite().all()


@pytest.mark.parametrize(
    ("options", "words"), [({"heads": 3}, "8 channels, .* 3 heads"), ({"norm": "l2"}, "SS-Former is 'l2'")]
)
def test_impossible_formers_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        SSFormer(8, E, **options)


def test_more_tokens_than_memory_is_likely_to_hold_are_refused_with_their_number():
    former, wide = made()[0], torch.zeros(1, 8, 17, 16, 16)
    with pytest.raises(ValueError, match="has 4352 tokens, a grid of 17 x 16 x 16, expected 4096 at most"):
        former.keys(wide)
    assert former.keys(wide[:, :, 1:]).key.shape == (1, 1, 2, 4096, 4)
