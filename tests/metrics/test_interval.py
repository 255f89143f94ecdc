"""Means and rank correlations over patients, and intervals that draw patients."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from noise2mask.metrics.interval import of_all_together, over_patients, rank_correlation


def test_images_of_a_patient_are_averaged_first():
    result = over_patients([1.0, 0.0, 0.0, 0.5], ["a", "b", "b", "c"])
    assert result.mean == pytest.approx((1 + 0 + 0.5) / 3) and result.patients == 3


def test_what_is_no_number_is_left_out_with_its_patient():
    result = over_patients([math.nan, 0.25, math.nan, 0.75], ["a", "b", "b", "c"])
    assert result.mean == pytest.approx(0.5) and result.patients == 2


def test_the_interval_is_that_of_the_normal_law_for_many_patients():
    values = np.random.default_rng(0).normal(0.7, 0.1, 400)
    result = over_patients(values.tolist(), [str(i) for i in range(400)])
    half = 1.96 * values.std() / 20
    assert result.low == pytest.approx(result.mean - half, abs=0.1 * half)
    assert result.high == pytest.approx(result.mean + half, abs=0.1 * half)


def test_the_interval_is_the_same_every_time_and_ignores_the_order():
    first = over_patients([0.1, 0.5, 0.9], ["a", "b", "c"])
    assert first == over_patients([0.1, 0.5, 0.9], ["a", "b", "c"])
    assert first.low <= first.mean <= first.high and (first.low, first.high) == pytest.approx((0.1, 0.9))


def test_many_images_of_one_patient_do_not_narrow_the_interval():
    one = over_patients([0.2, 0.8], ["a", "b"])
    many = over_patients([0.2] * 50 + [0.8] * 50, ["a"] * 50 + ["b"] * 50)
    assert many == pytest.approx(one)


def test_equal_values_have_an_interval_without_width():
    assert over_patients([0.5, 0.5], ["a", "b"]) == (0.5, 0.5, 0.5, 2)


def test_one_patient_has_no_interval_and_none_no_mean():
    single = over_patients([0.4], ["a"])
    assert single.mean == 0.4 and math.isnan(single.low) and math.isnan(single.high)
    assert math.isnan(over_patients([math.nan], ["a"]).mean)


def test_the_interval_of_a_rank_correlation_is_fishers_for_many_patients():
    doubt, score = np.random.default_rng(0).multivariate_normal([0, 0], [[1, -0.5], [-0.5, 1]], 400).T
    found = rank_correlation(doubt.tolist(), score.tolist(), [str(i) for i in range(400)])
    assert found.mean == pytest.approx(spearmanr(doubt, score).statistic)
    fisher = np.tanh(np.arctanh(found.mean) + np.array([-1.96, 1.96]) / np.sqrt(397))
    assert [found.low, found.high] == pytest.approx(fisher, abs=0.03)


def test_copies_of_a_patients_images_do_not_narrow_it():
    one = rank_correlation([0.1, 0.5, 0.4, 0.9], [0.9, 0.8, 0.2, 0.1], ["a", "b", "c", "d"])
    many = rank_correlation([0.1, 0.5, 0.4, 0.9] * 9, [0.9, 0.8, 0.2, 0.1] * 9, ["a", "b", "c", "d"] * 9)
    assert many == pytest.approx(one) and one.low < one.mean < one.high


def test_where_all_are_alike_there_is_no_rank_correlation():
    assert math.isnan(rank_correlation([0.0, 0.0], [0.5, 0.6], ["a", "b"]).mean)
    assert math.isnan(rank_correlation([], [], []).mean)
    assert rank_correlation([0.1, 0.2, math.nan], [0.6, 0.5, 0.9], ["a", "a", "b"])[:1] == (pytest.approx(-1),)


def test_a_score_of_all_pixels_together_has_the_interval_of_a_mean_where_images_are_alike_in_size():
    hits = np.random.default_rng(0).integers(0, 101, 60)
    names = [str(i) for i in range(60)]
    low, high = of_all_together([np.array([n, 100]) for n in hits], names, lambda total: total[0] / total[1])
    mean = over_patients((hits / 100).tolist(), names)
    assert (low, high) == pytest.approx((mean.low, mean.high), abs=0.01)


def test_a_large_image_weighs_by_its_pixels():
    parts = [np.array([0, 10]), np.array([90, 90])]
    assert of_all_together(parts, ["a", "b"], lambda total: total[0] / total[1]) == (0, 1)  # drawn twice alone
    assert of_all_together(parts, ["a", "b"], lambda total: float(total[1])) == (20, 180)


def test_images_of_one_patient_are_drawn_together():
    def part(total):
        return total[0] / total[1]

    parts = [np.array([n % 7, 9]) for n in range(40)]
    one = of_all_together([sum(parts[n::8]) for n in range(8)], list("abcdefgh"), part)
    assert of_all_together(parts, list("abcdefgh") * 5, part) == one
    assert all(map(math.isnan, of_all_together(parts, ["a"] * 40, part)))
