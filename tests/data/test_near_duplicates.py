"""Near-duplicates are found whatever their grey values and size, and others are not."""

import numpy as np
import pytest

from noise2mask.data.near_duplicates import across, alike, grouped, thumbnail


def picture(seed, size=(60, 50)):
    """Blobs."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    centres = np.random.default_rng(seed).random((6, 2))
    return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.02) for a, b in centres) * 100


def test_other_grey_values_another_size_and_a_mark_change_little():
    first = picture(0)
    marked = first.copy()
    marked[2:4, 2:8] = 200
    others = [2 * first + 30, picture(0, (90, 75)), marked]
    thumbnails = np.stack([thumbnail(image) for image in (first, *others)])
    assert {(0, 1), (0, 2), (0, 3)} <= {(i, j) for i, j, _ in alike(thumbnails)}


def test_different_pictures_are_not_alike():
    assert alike(np.stack([thumbnail(picture(seed)) for seed in range(20)])) == []


def test_a_constant_picture_is_like_no_other():
    assert alike(np.stack([thumbnail(np.ones((20, 20))), thumbnail(np.ones((20, 20))), thumbnail(picture(1))])) == []


def test_a_volume_is_known_by_its_middle_slice():
    volume = np.stack([picture(1), picture(2), picture(3)], axis=-1)
    assert thumbnail(volume) @ thumbnail(picture(2)) == pytest.approx(1)


def test_many_images_are_compared_in_pieces(monkeypatch):
    thumbnails = np.stack([thumbnail(picture(seed % 7)) for seed in range(20)])
    whole = alike(thumbnails)
    monkeypatch.setattr("noise2mask.data.near_duplicates.AT_ONCE", 3)
    assert [pair[:2] for pair in alike(thumbnails)] == [pair[:2] for pair in whole]
    assert {(i, j) for i, j, _ in whole} == {(i, j) for i in range(20) for j in range(i + 1, 20) if (j - i) % 7 == 0}


def test_a_chain_of_pairs_is_one_group():
    names = list("abcdef")
    assert grouped(names, [(1, 3, 1.0), (3, 5, 1.0), (0, 2, 1.0)]) == dict(zip("abcdef", "ababeb", strict=True))


def test_pairs_across_splits_are_named_with_both_splits():
    sections = {"a": "training", "b": "testing", "c": "training"}
    (text,) = across(sections, list("abc"), [(0, 1, 0.98), (0, 2, 0.99)])
    assert text.startswith("a (training) and b (testing) are nearly the same (correlation 0.980)")
