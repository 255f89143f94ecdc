"""Copies of training tiles are found, turned or not; others are no more suspicious than real ones."""

import pytest
import torch
from torch import nn

from noise2mask.data.symmetry import laid
from noise2mask.metrics import memorisation as module
from noise2mask.metrics.features import Extractor
from noise2mask.metrics.memorisation import Tiles, memorisation, nearest_rows

PIXELS = Extractor(nn.Flatten(), "pixels", "", value_range=(0, 1))


def tiles(count, seed, side=4):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def of(images):
    return Tiles(images, PIXELS(images))


def scores(generated, held_out, training, **kwargs):
    return memorisation(of(generated), of(held_out), training, PIXELS, **kwargs)


def test_the_eight_ways_are_all_different_and_bring_a_tile_back():
    tile = torch.arange(9.0).reshape(1, 3, 3)
    ways = [laid(tile, way) for way in range(8)]
    assert len({tuple(own.flatten().tolist()) for own in ways}) == 8 and torch.equal(ways[0], tile)
    assert ways[4].tolist() == [[[2, 1, 0], [5, 4, 3], [8, 7, 6]]]
    assert {tuple(laid(ways[5], way).flatten().tolist()) for way in range(8)} >= {tuple(range(9))}


@pytest.mark.parametrize("way", range(8))
def test_a_copy_is_found_whichever_way_it_is_turned(way):
    training = tiles(6, 1)
    result = scores(torch.cat([tiles(3, 2), laid(training[4:5], way)]), tiles(20, 3), training)
    first = result["nearest"][0]
    assert (first["generated"], first["training"], first["suspicious"]) == (3, 4, True)
    assert first["distance"] == pytest.approx(0, abs=1e-6) and first["pixel_rms"] == pytest.approx(0, abs=1e-6)
    assert torch.equal(laid(training[4], first["way"]), laid(training[4], way))
    assert not any(row["suspicious"] and row["distance"] > result["limit"] for row in result["nearest"])


def test_the_list_is_sorted_and_equals_a_plain_search(monkeypatch):
    generated, training = tiles(5, 1), tiles(7, 2)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    result = scores(generated, tiles(4, 3), training)
    every = torch.stack([laid(training, way) for way in range(8)]).flatten(2)  # (8, T, F)
    cosine = torch.cosine_similarity(generated.flatten(1)[:, None, None], every, dim=-1)  # (Q, 8, T)
    expected = (1 - cosine).amin(dim=(1, 2))
    assert [row["distance"] for row in result["nearest"]] == pytest.approx(sorted(expected.tolist()), abs=1e-6)
    for row in result["nearest"]:
        other = laid(training[row["training"]], row["way"])
        assert row["distance"] == pytest.approx(float(expected[row["generated"]]), abs=1e-6)
        assert row["pixel_rms"] == pytest.approx(float((generated[row["generated"]] - other).square().mean().sqrt()))


def test_tiles_of_the_law_of_held_out_ones_are_suspicious_in_5_of_100():
    result = scores(tiles(400, 1), tiles(400, 2), tiles(20, 3))
    share = result["suspicious"]
    assert (
        result["expected_share"] == 0.05
        and share["low"] < share["high"]
        and share["mean"] == pytest.approx(0.05, abs=0.03)
    )
    distance = result["distance"]
    assert distance["held_out"]["q05"] == pytest.approx(result["limit"])
    assert distance["generated"]["least"] == result["nearest"][0]["distance"]


def test_copies_alone_are_all_suspicious_and_the_interval_draws_owners():
    training = tiles(4, 1)
    result = scores(training.flip(0), tiles(9, 2), training, owners=["a", "a", "b", "b"])
    assert result["suspicious"] == {"mean": 1, "low": 1, "high": 1, "patients": 2}


def test_bytes_are_as_floats_and_the_nearest_row_is_that_of_the_least_angle():
    training = (tiles(3, 1) * 255).round().to(torch.uint8)
    assert scores(tiles(3, 2), tiles(4, 3), training) == scores(tiles(3, 2), tiles(4, 3), training / 255)
    distance, place = nearest_rows(torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0], [0, 1]]))
    assert place.tolist() == [1] and distance.tolist() == pytest.approx([0.2])


def test_tiles_of_other_sizes_and_none_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(3, 5, 5\) and \(3, 4, 4\), expected .* square: scale them"):
        scores(tiles(2, 1, side=5), tiles(2, 2), tiles(2, 3))
    flat = torch.rand(2, 3, 4, 6)
    with pytest.raises(ValueError, match="square: scale them to one size"):
        scores(flat, flat, flat)
    with pytest.raises(ValueError, match="no tiles to compare: give generated, held-out and training tiles"):
        memorisation(of(tiles(2, 1)), of(tiles(2, 2)), tiles(0, 3), PIXELS)
