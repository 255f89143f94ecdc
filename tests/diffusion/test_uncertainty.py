"""Uncertainty maps and triage numbers on four pixels, by hand."""

from math import log

import pytest
import torch

from noise2mask.diffusion.uncertainty import entropy, standard_deviation, triage

# Two samples of four pixels: both sure and agreeing twice, contradicting once, both undecided once.
SAMPLES = torch.tensor([[1.0, 0.0, 1.0, 0.5], [1.0, 0.0, 0.0, 0.5]]).reshape(1, 2, 1, 2, 2)


def masks(*rows):
    """Samples (1, N, 1, 2, 2) from rows of four pixels."""
    return torch.tensor(rows, dtype=torch.float32).reshape(1, len(rows), 1, 2, 2)


def test_standard_deviation_on_four_pixels():
    torch.testing.assert_close(standard_deviation(SAMPLES).flatten(), torch.tensor([0, 0, 0.5, 0]))


def test_standard_deviation_of_one_sample_is_zero():
    assert standard_deviation(SAMPLES[:, :1]).equal(torch.zeros(1, 1, 2, 2))


def test_binary_entropy_on_four_pixels():
    probability = torch.tensor([1.0, 0.0, 0.5, 0.25]).reshape(1, 1, 2, 2)
    expected = torch.tensor([0, 0, log(2), 0.25 * log(4) + 0.75 * log(4 / 3)])
    torch.testing.assert_close(entropy(probability).flatten(), expected)
    assert entropy(probability, exclusive=True).equal(entropy(probability))


def test_entropy_of_exclusive_classes_on_four_pixels():
    pixels = torch.tensor([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.25, 0]])
    result = entropy(pixels.T.reshape(1, 4, 2, 2), exclusive=True)
    assert result.shape == (1, 1, 2, 2)
    torch.testing.assert_close(result.flatten(), torch.tensor([0, log(2), log(4), 1.5 * log(2)]))


def test_entropies_of_independent_classes_add_up():
    probability = torch.tensor([0.5, 0.5, 1.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(entropy(probability).flatten(), torch.tensor([2 * log(2)]))


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_entropy_refuses_what_is_no_probability(value):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        entropy(torch.full((1, 1, 2, 2), value))


def test_triage_of_three_samples_on_four_pixels():
    result = triage(masks([1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]))
    # Dice of the pairs 2/3, 0, 0; areas 1/2, 1/4, 0.
    torch.testing.assert_close(result["agreement"], torch.tensor([2 / 9]))
    torch.testing.assert_close(result["area_mean"], torch.tensor([0.25]))
    torch.testing.assert_close(result["area_std"], torch.tensor([(1 / 24) ** 0.5]))
    torch.testing.assert_close(result["triage"], torch.tensor([7 / 9]))


@pytest.mark.parametrize(
    ("samples", "agreement"),
    [
        (masks([0, 0, 0, 0], [0, 0, 0, 0]), 1.0),
        (masks([0, 0, 0, 0], [1, 0, 0, 0]), 0.0),
        (masks([1, 1, 1, 1], [1, 1, 1, 1]), 1.0),
        (masks([0, 1, 0, 0]), 1.0),
    ],
    ids=["both empty", "one empty", "equal", "one sample"],
)
def test_agreement_of_simple_cases(samples, agreement):
    assert triage(samples)["agreement"].tolist() == [agreement]


def test_agreement_is_the_mean_over_classes_and_area_their_union():
    samples = torch.cat([masks([1, 1, 0, 0], [1, 1, 0, 0]), masks([1, 0, 0, 0], [0, 0, 1, 0])], dim=2)
    result = triage(samples)
    torch.testing.assert_close(result["agreement"], torch.tensor([0.5]))
    torch.testing.assert_close(result["area_mean"], torch.tensor([(0.5 + 0.75) / 2]))
    torch.testing.assert_close(result["agreement_each"], torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(result["area_mean_each"], torch.tensor([[0.5, 0.25]]))
    torch.testing.assert_close(result["area_std_each"], torch.tensor([[0.0, 0.0]]))


def test_the_background_of_exclusive_classes_is_left_out():
    lesion = masks([1, 1, 0, 0], [1, 0, 0, 0])
    both = triage(torch.cat([1 - lesion, lesion], dim=2), exclusive=True)
    assert both == triage(lesion)


def test_triage_puts_the_image_with_quarrelling_samples_first():
    agree, quarrel = masks([1, 1, 0, 0], [1, 1, 0, 0]), masks([1, 1, 0, 0], [0, 0, 1, 1])
    result = triage(torch.cat([agree, quarrel]))
    assert result["triage"].tolist() == [0.0, 1.0]
    assert result["triage"].argmax() == 1


def test_a_broken_sample_is_named():
    samples = SAMPLES.clone()
    samples[0, 1, 0, 0, 0] = torch.nan
    for function in (standard_deviation, triage):
        with pytest.raises(ValueError, match="sample 1 of image 0"):
            function(samples)
