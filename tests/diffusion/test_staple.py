"""STAPLE against a hand calculation, ITK's filter and its own invariances."""

import itk
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise2mask.diffusion.staple import staple

WHOLE = 1000  # a margin that covers any picture here


def blobs(seed, shape=(2, 5, 3, 12, 10)):
    """Random rectangles, one per image and class, with 10 % of the pixels flipped by each rater."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.zeros(shape[0], 1, *shape[2:], dtype=torch.bool)
    truth[..., 3:9, 2:7] = True
    return truth ^ (torch.rand(shape, generator=generator) < 0.1)


def itk_staple(votes):
    kind = itk.Image[itk.F, 2]
    images = [itk.image_from_array(np.ascontiguousarray(vote, dtype=np.float32)) for vote in votes.numpy()]
    staple_filter = itk.STAPLEImageFilter[kind, kind].New()
    for index, image in enumerate(images):
        staple_filter.SetInput(index, image)
    staple_filter.SetForegroundValue(1)
    staple_filter.SetMaximumIterations(100)
    staple_filter.Update()
    return torch.from_numpy(itk.array_from_image(staple_filter.GetOutput()).copy())


FOUR_PIXELS = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]]).bool().reshape(1, 3, 1, 4)


def test_one_iteration_on_four_pixels_equals_the_hand_calculation():
    # W = 1, 2/3, 1/3, 0 and f = 1/2 give p = 5/6, 1/2, 1 and q = 5/6, 1, 1/2.
    # Pixel 2: a = 5/6 * 1/2 * 1 = 5/12, b = 1/6 * 1 * 1/2 = 1/12; pixel 3 the other way round; b = 0 on 1, a = 0 on 4.
    result = staple(FOUR_PIXELS, max_iterations=1, margin=WHOLE)
    torch.testing.assert_close(result.flatten(), torch.tensor([1, 5 / 6, 1 / 6, 0]))


def test_a_second_iteration_on_four_pixels_equals_the_hand_calculation():
    # W = 1, 5/6, 1/6, 0 give p = 11/12, 1/2, 1 and q = 11/12, 1, 1/2; pixel 2: a = 11/24, b = 1/24.
    result = staple(FOUR_PIXELS, max_iterations=2, margin=WHOLE)
    torch.testing.assert_close(result.flatten(), torch.tensor([1, 11 / 12, 1 / 12, 0]))


@pytest.mark.parametrize("seed", range(4))
def test_binary_result_equals_itk_on_the_same_region(seed):
    votes = blobs(seed, (1, 5, 1, 24, 20))
    torch.testing.assert_close(staple(votes, margin=WHOLE)[0, 0], itk_staple(votes[0, :, 0]), atol=1e-5, rtol=0)


def test_box_and_margin_equal_itk_on_the_crop_and_zero_outside():
    votes = torch.zeros(1, 4, 1, 30, 26, dtype=torch.bool)
    votes[..., 8:20, 9:19] = blobs(0, (1, 4, 1, 12, 10))
    rows, columns = votes.any(dim=1)[0, 0].nonzero().unbind(dim=1)
    box = (slice(rows.min() - 2, rows.max() + 3), slice(columns.min() - 2, columns.max() + 3))
    expected = torch.zeros(30, 26)
    expected[box] = itk_staple(votes[0, :, 0][(slice(None), *box)])
    torch.testing.assert_close(staple(votes, margin=2)[0, 0], expected, atol=1e-5, rtol=0)


def test_unanimous_images_keep_their_value():
    mask = torch.rand(2, 1, 3, 8, 8) > 0.5
    mask[0, :, 0], mask[1, :, 1] = False, True  # all empty, all full
    assert staple(mask.expand(-1, 4, -1, -1, -1)).equal(mask[:, 0].float())


def test_a_single_rater_is_believed():
    mask = torch.rand(2, 1, 1, 8, 8) > 0.5
    assert staple(mask).equal(mask[:, 0].float())


def test_full_and_empty_raters_together_give_no_nan():
    votes = torch.zeros(1, 4, 1, 6, 6, dtype=torch.bool)
    votes[:, :2] = True
    torch.testing.assert_close(staple(votes), torch.full((1, 1, 6, 6), 0.5))


def test_vectorised_result_equals_the_loop_over_images_and_classes():
    votes = blobs(1)
    votes[0, :, 0], votes[1, 1:, 2] = False, False  # problems of different sizes, one of them empty
    looped = [[staple(votes[b : b + 1, :, k : k + 1])[0, 0] for k in range(3)] for b in range(2)]
    torch.testing.assert_close(staple(votes), torch.stack([torch.stack(row) for row in looped]))


def test_grouping_by_ballot_equals_the_calculation_pixel_by_pixel():
    votes = blobs(2, (1, 5, 1, 12, 10))
    votes[..., 0, 0] = votes[..., -1, -1] = True  # the box is the whole picture
    d = votes[0, :, 0].flatten(1).double()  # (N, pixels)
    w, f = d.mean(dim=0), d.mean()
    for _ in range(7):
        p, q = (d @ w / w.sum())[:, None], ((1 - d) @ (1 - w) / (1 - w).sum())[:, None]
        a, b = f * (p**d * (1 - p) ** (1 - d)).prod(dim=0), (1 - f) * ((1 - q) ** d * q ** (1 - d)).prod(dim=0)
        w = a / (a + b)
    torch.testing.assert_close(staple(votes, max_iterations=7, tolerance=0).flatten(), w.float())


def test_volumes_equal_the_same_pixels_laid_out_flat():
    votes = blobs(3, (1, 5, 2, 4, 12, 10))
    flat = staple(votes.flatten(3), margin=WHOLE)
    torch.testing.assert_close(staple(votes, margin=WHOLE).flatten(2), flat)


def test_a_better_rater_weighs_more():
    votes = torch.zeros(1, 4, 1, 10, 10, dtype=torch.bool)
    votes[:, :3, :, 2:8, 2:8] = True
    votes[:, 3] = torch.arange(100).reshape(10, 10) % 2 == 0
    assert (staple(votes) > 0.5)[0, 0].equal(votes[0, 0, 0])


def test_more_raters_than_bits_of_an_integer_work():
    votes = blobs(4, (1, 70, 1, 12, 10))
    assert (staple(votes) > 0.5).equal(votes.float().mean(dim=1) > 0.5)


@settings(max_examples=25, deadline=None, database=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.02, 0.3, 0.5, 0.95]))
def test_any_votes_give_probabilities_that_ignore_rater_order_and_flips(seed, raters, density):
    generator = torch.Generator().manual_seed(seed)
    votes = torch.rand((2, raters, 2, 7, 6), generator=generator) < density
    result = staple(votes, max_iterations=20)
    assert bool(((result >= 0) & (result <= 1)).all())
    order = torch.randperm(raters, generator=generator)
    torch.testing.assert_close(staple(votes[:, order], max_iterations=20), result, atol=1e-4, rtol=0)
    torch.testing.assert_close(staple(votes.flip(-1, -2), max_iterations=20), result.flip(-1, -2), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("votes", "message"),
    [(torch.zeros(1, 2, 1, 4, 4), "threshold"), (torch.zeros(2, 4, 4, dtype=torch.bool), "missing axes")],
)
def test_wrong_votes_are_named(votes, message):
    with pytest.raises(ValueError, match=message):
        staple(votes)
