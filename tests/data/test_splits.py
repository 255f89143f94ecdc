"""Splits keep groups together, leave nothing out and follow PGDiffSeg's counts."""

import pytest

from noise2mask.data.splits import KEYS, busi_split, cut, natural, split_groups

BUSI = {"normal": (133, [93, 13, 27]), "benign": (437, [305, 44, 88]), "malignant": (210, [147, 21, 42])}


@pytest.mark.parametrize("kind", BUSI)
@pytest.mark.parametrize("form", ["{} ({})", "{}_{:03d}"])
def test_the_busi_split_has_the_counts_of_the_paper(kind, form):
    total, counts = BUSI[kind]
    keys = busi_split(form.format(kind, i) for i in range(1, total + 1))
    assert [list(keys.values()).count(key) for key in KEYS] == counts


def test_the_busi_split_follows_the_numbers_in_each_class():
    keys = busi_split([f"{kind} ({i})" for i in range(20, 0, -1) for kind in ("benign", "normal")])
    assert keys["normal (9)"] == keys["benign (14)"] == "training"
    assert keys["benign (15)"] == "validation" and keys["benign (17)"] == "testing"


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    names = [f"p{i}" for i in range(50)]
    assert split_groups(names, 3) == split_groups(names[::-1] + names, 3) != split_groups(names, 4)


def test_every_group_gets_one_key_in_the_wanted_share():
    keys = split_groups(map(str, range(100)), 0, (0.5, 0.2, 0.3))
    assert len(keys) == 100 and [list(keys.values()).count(key) for key in KEYS] == [50, 20, 30]


@pytest.mark.parametrize("n, counts", [(0, [0, 0, 0]), (1, [0, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (10, [7, 1, 2])])
def test_no_part_is_empty_while_there_are_enough(n, counts):
    assert [len(part) for part in cut(list(range(n)))] == counts


def test_a_part_that_is_not_wanted_stays_empty():
    assert cut(list(range(4)), (1, 0, 0)) == [[0, 1, 2, 3], [], []]


def test_fractions_must_sum_to_one():
    with pytest.raises(ValueError, match="expected three numbers of at least 0 with sum 1"):
        cut([1, 2], (0.7, 0.1, 0.1))


def test_two_comes_before_ten():
    assert sorted(["a10", "a2", "10", "2", "b1"], key=natural) == ["2", "10", "a2", "a10", "b1"]
