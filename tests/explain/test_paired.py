"""Groups of images, and two results compared on them."""

import pytest

from noise2mask.explain.paired import difference, groups, subgroup_table

CASES = [
    {"patient": patient, "dice": dice, "area": area, "triage": None, "kind": kind}
    for patient, dice, area, kind in [
        (0, 1.0, 0, "normal"),
        (1, 0.5, 70, "malignant"),
        (2, 0.5, 10, "benign"),
        (3, 0.5, 40, "benign"),
        (3, 0.5, 20, "benign"),
        (4, 0.5, 30, None),
    ]
]
GAINS = (-1.0, 0.25, 0.0, 0.1, 0.2, 0.0)
FIRST = {"title": "A", "images": "digest", "cases": CASES}
SECOND = FIRST | {
    "title": "B",
    "cases": [{**case, "dice": case["dice"] + gain} for case, gain in zip(CASES, GAINS, strict=True)],
}


def test_quarters_hold_equally_many_lesions_by_rank_and_kinds_those_that_are_known():
    assert groups(CASES) == {
        "without a lesion": [0],
        "lesions, smallest quarter (area 10 to 20)": [2, 4],  # 5 lesions: 2, 1, 1, 1
        "lesions, second quarter (area 30 to 30)": [5],
        "lesions, third quarter (area 40 to 40)": [3],
        "lesions, largest quarter (area 70 to 70)": [1],
        "lesions, benign": [2, 3, 4],
        "lesions, malignant": [1],
    }


def test_a_group_without_images_has_no_row():
    assert list(groups(CASES[:1])) == ["without a lesion"]


def test_the_difference_is_over_patients():
    # patient 2: 0; patient 3: the mean of 0.1 and 0.2
    assert difference(SECOND, FIRST, of=lambda case: case["kind"] == "benign") == "+0.075 (+0.000 to +0.150)"
    assert difference(SECOND, FIRST, of=lambda case: False) == "-"


def test_a_row_has_both_means_and_their_difference():
    head, _, *rows = subgroup_table(FIRST, SECOND).splitlines()
    assert head == "| images | how many | A | B | second minus first |"
    assert rows[0] == "| without a lesion | 1 | 1.000 | 0.000 | -1.000 |"
    assert rows[5] == "| lesions, benign | 3 | 0.500 | 0.575 | +0.075 (+0.000 to +0.150) |"


def test_results_of_other_images_are_refused():
    with pytest.raises(ValueError, match="of other images, expected the same"):
        subgroup_table(FIRST, SECOND | {"images": "another"})


def test_structures_are_no_lesions():
    words = list(groups(CASES, several=True))
    assert words[0] == "absent structures" and words[1].startswith("structures, smallest quarter (size ")
