"""The scores together: ready for JSON, of equally many tiles, with what real tiles score beside them."""

import csv
import json

import pytest
import torch
from torch import nn

from noise2mask.metrics.features import Extractor
from noise2mask.metrics.frechet_distance import frechet_distance
from noise2mask.metrics.generation_scores import generation_scores, thinned, write_generation_scores

COLOURS = Extractor(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), "mean colours", "0")


def tiles(*counts, seed, least=0.0):
    random = torch.rand(*counts, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return least + (1 - least) * random


def test_generated_tiles_of_the_same_law_score_as_training_tiles_and_brighter_ones_worse():
    real, training = tiles(60, seed=1), tiles(80, seed=2)
    same, bright = (
        generation_scores(tiles(20, 3, seed=3, least=least), real, training, COLOURS) for least in (0.0, 0.3)
    )
    for name in ("frechet_distance", "mmd"):
        assert same[name]["training"] == bright[name]["training"]
        assert bright[name]["generated"] > 5 * abs(same[name]["generated"])
    assert same["counts"] == {"masks": 20, "samples": 3, "real": 60, "training": 80, "compared": 60}
    assert same["extractor"]["name"] == "mean colours"


def test_equally_many_of_each_are_compared():
    generated, real, training = tiles(4, 2, seed=1), tiles(30, seed=2), tiles(12, seed=3)
    found = generation_scores(generated, real, training, COLOURS)
    expected = frechet_distance(COLOURS(generated.flatten(0, 1)), COLOURS(thinned(real, 8)))
    assert found["counts"]["compared"] == 8
    assert found["frechet_distance"]["generated"] == pytest.approx(expected)


def test_thinning_goes_from_the_first_to_the_last_in_equal_steps():
    assert thinned(torch.arange(7), 3).tolist() == [0, 3, 6] and thinned(torch.arange(5), 5).tolist() == [*range(5)]
    assert len(set(thinned(torch.arange(10_007), 10_000).tolist())) == 10_000


def test_a_generator_that_copies_is_neither_diverse_nor_trusted():
    training = tiles(10, seed=1)
    copied = training[:6, None].expand(-1, 2, -1, -1, -1)
    found = generation_scores(copied, tiles(20, seed=2), training, COLOURS, patients=["a", "a", "a", "b", "b", "b"])
    assert found["diversity"]["mean"] == pytest.approx(0, abs=1e-9) and found["diversity"]["patients"] == 2
    assert found["ms_ssim"]["mean"] == pytest.approx(1, abs=1e-5) and found["ms_ssim"]["masks"] == 6
    assert found["memorisation"]["suspicious"] == {"mean": 1, "low": 1, "high": 1, "patients": 2}


def test_of_a_single_sample_diversity_is_not_known_and_all_is_written(tmp_path):
    found = generation_scores(tiles(3, 1, seed=1), tiles(4, seed=2), tiles(5, seed=3), COLOURS)
    write_generation_scores(found, tmp_path)
    written = json.loads((tmp_path / "generation_scores.json").read_text())
    rows = list(csv.DictReader((tmp_path / "nearest_tiles.csv").open()))
    assert written["diversity"] is None and written["ms_ssim"] is None
    assert len(rows) == 3 and "nearest" not in written["memorisation"]
    assert {**written, "memorisation": found["memorisation"]} == found
    assert [float(row["distance"]) for row in rows] == [row["distance"] for row in found["memorisation"]["nearest"]]


@pytest.mark.parametrize(
    "generated, real, patients, found",
    [
        (tiles(3, seed=1), tiles(4, seed=2), None, r"shape \(3, 3, 16, 16\), expected \(B, N, 3, H, W\)"),
        (tiles(0, 2, seed=1), tiles(4, seed=2), None, "make some for each mask"),
        (tiles(3, 2, seed=1), tiles(1, seed=2), None, "6 generated, 1 real and 5 training tiles, expected two of each"),
        (tiles(3, 2, seed=1), tiles(4, seed=2), ["a"], "1 patients of 3 masks, expected one for each"),
        (tiles(3, 2, seed=1) * 255, tiles(4, seed=2), None, r"expected \[0, 1\]: scale them"),
    ],
)
def test_what_can_not_be_scored_is_refused(generated, real, patients, found):
    with pytest.raises(ValueError, match=found):
        generation_scores(generated, real, tiles(5, seed=3), COLOURS, patients)
