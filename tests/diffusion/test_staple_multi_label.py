"""Multi-label STAPLE against a hand calculation, the binary one, a plain loop and its own invariances."""

import pytest
import torch
from torch.nn.functional import one_hot

from noise2mask.diffusion.fusion import fuse
from noise2mask.diffusion.multi_label_staple import multi_label_staple
from noise2mask.diffusion.staple import staple

WHOLE = 1000  # a margin that covers any picture here
MARKED = torch.zeros(20, 20, dtype=torch.long)  # two clearly marked structures
MARKED[2:9, 2:9], MARKED[11:18, 11:18] = 1, 2


def votes_of(labels, classes=3):
    """(B, N, *S) -> (B, N, K, *S)."""
    return one_hot(labels, classes).movedim(-1, 2).bool()


def noisy(seed, classes=4, raters=6):
    """Two images of two structures; each rater writes random labels on 20 % of the pixels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, raters, 20, 20)
    wrong = torch.rand(shape, generator=generator) < 0.2
    return votes_of(torch.where(wrong, torch.randint(0, 3, shape, generator=generator), MARKED), classes)


FOUR_PIXELS = votes_of(torch.tensor([[0, 1, 2, 1], [0, 1, 2, 1], [0, 1, 2, 2]]).reshape(1, 3, 4))


def test_one_iteration_on_four_pixels_equals_the_hand_calculation():
    # Shares of the last pixel 0, 2/3, 1/3: masses 1, 5/3, 4/3 and f = 1/4, 5/12, 1/3. Raters 1 and 2: P(1 | 1) = 1,
    # P(1 | 2) = 1/4; rater 3: P(2 | 1) = 2/5, P(2 | 2) = 1. Last pixel: 5/12 * 2/5 = 1/6 against 1/3 * 1/16 = 1/48.
    result = multi_label_staple(FOUR_PIXELS, max_iterations=1, margin=WHOLE)[0]
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 8 / 9, 1 / 9]]).T
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("raters", [1, 2, 5, 30])
def test_background_and_one_structure_equal_binary_staple(raters):
    generator = torch.Generator().manual_seed(raters)
    for density in (0.02, 0.3, 0.95):
        structure = torch.rand((3, raters, 1, 14, 12), generator=generator) < density
        structure[..., 4:9, 3:8] ^= True
        result = multi_label_staple(torch.cat([~structure, structure], dim=2))
        torch.testing.assert_close(result[:, 1:], staple(structure), atol=1e-6, rtol=0)


def test_grouping_by_ballot_equals_the_calculation_pixel_by_pixel():
    votes = noisy(0, classes=3)[:1]
    d = votes[0].flatten(2).double()  # (N, K, pixels)
    w = d.mean(dim=0)  # (K, pixels)
    f = w.mean(dim=1, keepdim=True)
    for _ in range(7):
        theta = torch.einsum("ndx,sx->nds", d, w) / w.sum(dim=1)
        w = f * torch.einsum("nds,ndx->nsx", theta, d).prod(dim=0)
        w = w / w.sum(dim=0)
    result = multi_label_staple(votes, max_iterations=7, tolerance=0, margin=WHOLE)
    torch.testing.assert_close(result[0].flatten(1), w.float(), atol=1e-6, rtol=0)


# Two background, four of each structure; three background, four and three.
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 1, 1, 2, 2, 2, 2], [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]])
def test_pixels_on_which_structures_disagree_do_not_become_background(labels):
    drawn = MARKED.repeat(1, 10, 1, 1)
    drawn[..., 9:11, 9:11] = torch.tensor(labels).reshape(10, 1, 1)
    fused = fuse(votes_of(drawn).float(), "staple", exclusive=True)[0]
    assert fused[0, 9:11, 9:11].max() < 0.01
    assert fused.argmax(dim=0)[MARKED > 0].equal(MARKED[MARKED > 0])


def test_unanimous_images_keep_their_value_beside_others():
    votes = torch.cat([noisy(1), votes_of(MARKED.expand(2, 6, -1, -1), 4)])
    votes[3], votes[3, :, 0] = False, True  # all background
    assert multi_label_staple(votes)[2:].equal(votes[2:, 0].float())


def test_a_class_that_nobody_votes_for_has_probability_0():
    result = multi_label_staple(noisy(2))
    assert bool(result.isfinite().all())
    assert bool((result[:, 3] == 0).all())
    torch.testing.assert_close(result[:, :3], multi_label_staple(noisy(2, classes=3)))


def test_structures_alone_without_background_give_no_nan():
    labels = torch.tensor([1, 1, 2, 2]).reshape(1, 4, 1, 1).expand(-1, -1, 6, 6)
    expected = torch.tensor([0, 0.5, 0.5]).reshape(1, 3, 1, 1).expand(-1, -1, 6, 6)
    torch.testing.assert_close(multi_label_staple(votes_of(labels)), expected)


def test_permuted_classes_permute_the_posterior():
    votes = noisy(3)
    structures, all_classes = [0, 2, 3, 1], [2, 0, 3, 1]
    torch.testing.assert_close(multi_label_staple(votes[:, :, structures]), multi_label_staple(votes)[:, structures])
    result = multi_label_staple(votes[:, :, all_classes], margin=WHOLE)
    torch.testing.assert_close(result, multi_label_staple(votes, margin=WHOLE)[:, all_classes])


def test_order_of_raters_and_neighbours_in_the_batch_change_nothing():
    votes = noisy(4)
    result = multi_label_staple(votes)
    torch.testing.assert_close(multi_label_staple(votes[:, [3, 5, 0, 1, 4, 2]]), result)
    torch.testing.assert_close(torch.cat([multi_label_staple(image[None]) for image in votes]), result)


def test_outside_the_box_around_all_structures_is_background():
    votes = votes_of(torch.zeros(1, 3, 20, 20, dtype=torch.long))
    votes[..., 5:9, 5:9] = noisy(5, classes=3, raters=3)[:1, ..., 5:9, 5:9]
    result = multi_label_staple(votes, margin=2)[0]
    crop = multi_label_staple(votes[..., 3:11, 3:11], margin=WHOLE)[0]
    torch.testing.assert_close(result[..., 3:11, 3:11], crop)
    result[..., 3:11, 3:11] = 0
    assert (result[0].sum(), result[1:].sum()) == (400 - 64, 0)


def test_volumes_and_more_raters_than_bits_of_an_integer_work():
    votes = noisy(6, raters=40).unflatten(-1, (5, 4))  # (B, N, K, 20, 5, 4)
    flat = multi_label_staple(votes.flatten(3), margin=WHOLE)
    torch.testing.assert_close(multi_label_staple(votes, margin=WHOLE).flatten(2), flat)
    assert flat.argmax(dim=1).equal(MARKED.flatten().expand(2, -1))


@pytest.mark.parametrize(
    "votes", [torch.ones(1, 2, 3, 4, 4), torch.ones(1, 2, 1, 4, 4), torch.tensor([0, 0, 0, 1]).reshape(1, 1, 2, 2)]
)
def test_votes_that_are_not_one_hot_are_refused(votes):
    with pytest.raises(ValueError, match="expected one-hot classes"):
        multi_label_staple(votes.bool())
