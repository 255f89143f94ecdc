"""All scores of a case, and their summary, by hand."""

import math

import numpy as np
import pytest
import torch

from noise2mask.metrics.case_scores import BINS, case_scores, summarise

LABEL = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
MASK = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
EMPTY = torch.zeros(2, 2)


def case(mask=MASK, label=LABEL, patient="a", triage=0.5, **options):
    scores = case_scores(mask, label, mask, torch.stack([mask, label]), **options)
    return {"patient": patient, "triage": triage, **scores}


def test_a_case_has_all_scores():
    scores = case()
    assert (scores["tp"], scores["fp"], scores["fn"]) == (1, 0, 1)
    assert scores["dice"] == pytest.approx(2 / 3) and scores["iou"] == 0.5
    assert (scores["precision"], scores["recall"]) == (1.0, 0.5)
    assert scores["dice_best"] == 1.0 and scores["dice_mean"] == pytest.approx(5 / 6)
    assert scores["expected_calibration_error"] == pytest.approx(0.25)
    assert scores["hd95"] == pytest.approx(0.95, abs=0.06) and scores["hd95_unit"] == "pixel"
    assert "energy_distance" not in scores


def test_spacing_and_annotations_add_theirs():
    scores = case(spacing=(1.0, 4.0), annotations=torch.stack([MASK, LABEL]))
    assert scores["hd95_unit"] == "mm" and scores["hd95"] > 3
    assert scores["energy_distance"] == pytest.approx(0)


def test_headline_means_are_over_patients():
    cases = [case(), case(mask=LABEL), case(mask=EMPTY, label=EMPTY, patient="b")]
    summary = summarise(cases)
    assert summary["means"]["dice"] == pytest.approx(((2 / 3 + 1) / 2 + 1) / 2)
    assert summary["means_over_images"]["dice"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert summary["counts"] == {
        "images": 3, "with_lesion": 2, "patients": 2, "lesions_missed": 0, "false_masks": 0, "hd95_left_out": 1
    }  # fmt: skip


def test_means_over_patients_of_whom_some_are_not_known_are_mixed():
    summary = summarise([case() | {"group_by": "patient"}, case(patient="b.png") | {"group_by": "image"}])
    assert summary["group_by"] == "mixed" and "then over patients (images where" in summary["policy"]
    assert summarise([case()])["group_by"] == "patient"


def test_a_lesion_is_missed_where_nothing_of_it_is_in_the_mask_and_a_mask_without_a_lesion_is_false():
    cases = [case(mask=1 - LABEL), case(mask=EMPTY), case(), case(label=EMPTY), case(mask=EMPTY, label=EMPTY)]
    counts = summarise(cases)["counts"]
    assert (counts["lesions_missed"], counts["false_masks"]) == (2, 1)


def test_lesion_scores_leave_out_images_without_one():
    summary = summarise([case(), case(mask=MASK, label=EMPTY, patient="b")])
    assert summary["means"]["dice_lesion"] == pytest.approx(2 / 3) and summary["means"]["dice"] == pytest.approx(1 / 3)


def test_pooled_scores_and_calibration_weigh_pixels():
    summary = summarise([case(), case(mask=EMPTY, label=EMPTY, patient="b")])
    assert summary["pooled"]["dice"] == pytest.approx(2 / 3)
    assert summary["pooled"]["false_negative_rate"] == 0.5
    assert summary["pooled"]["expected_calibration_error"] == pytest.approx(1 / 8)
    assert sum(summary["calibration"]["pixels"]) == 8
    intervals = summary["pooled_intervals"]
    # either image twice, or both: of the first alone Dice is 2/3 and 1 of its 4 pixels is wrong, all of the other right
    assert intervals == {"dice": [pytest.approx(2 / 3), 1], "expected_calibration_error": [0, pytest.approx(1 / 4)]}


def test_triage_is_judged_by_its_rank_correlation_with_dice():
    good = [case(triage=0.9), case(mask=LABEL, triage=0.1, patient="b")]
    assert summarise(good)["triage"]["spearman_with_dice"] == pytest.approx(-1)
    assert math.isnan(summarise([case(), case(patient="b")])["triage"]["spearman_with_dice"])


def test_images_without_a_lesion_do_not_decide_how_triage_orders_those_with_one():
    lesions = [case(triage=0.5), case(mask=LABEL, triage=0.1, patient="b"), case(mask=EMPTY, triage=0.9, patient="c")]
    without = [case(mask=EMPTY, label=EMPTY, triage=1.0, patient=str(n)) for n in range(9)]  # unsure, and right
    found = summarise(lesions + without)["triage"]
    assert found["spearman_with_dice_lesion"] == pytest.approx(-1) and found["spearman_with_dice"] > 0
    assert found["spearman_with_dice_lesion_interval"][0] == pytest.approx(-1)


def test_a_probability_is_judged_as_triage_as_samples_are():
    halves = torch.stack([LABEL, LABEL])  # the samples do not matter
    sure = {"patient": "a", "triage": 0.0, **case_scores(LABEL, LABEL, LABEL, halves)}
    unsure = {"patient": "b", "triage": 0.0, **case_scores(MASK, LABEL, 0.6 * MASK, halves)}
    assert (sure["probability_triage"], unsure["probability_triage"]) == (0, pytest.approx(1 - 1.2 / 1.6))
    found = summarise([sure, unsure])["triage"]
    assert found["probability_spearman_with_dice"] == pytest.approx(-1) and math.isnan(found["spearman_with_dice"])


def test_energy_distance_is_averaged_over_the_images_that_have_it():
    cases = [case(annotations=torch.stack([EMPTY, EMPTY])), case(patient="b")]
    assert summarise(cases)["means"]["energy_distance"] == pytest.approx(cases[0]["energy_distance"])


def test_bins_of_a_case_are_kept_for_the_summary():
    assert case()[BINS].shape == (3, 10) and np.isfinite(case()[BINS]).all()


# Several structures

DISC, CUP = {"structure": "disc", "image": "1"}, {"structure": "cup", "image": "1"}


def test_of_several_structures_an_image_has_their_mean_and_each_has_a_summary():
    one = [case() | DISC, case(mask=LABEL) | CUP]
    other = [
        case(patient="b") | DISC | {"image": "2"},
        case(mask=EMPTY, label=EMPTY, patient="b") | CUP | {"image": "2"},
    ]
    summary = summarise(one + other)
    assert summary["means"]["dice"] == summary["means_over_images"]["dice"] == pytest.approx((2 / 3 + 1) / 2)
    assert summary["means"]["dice_lesion"] == pytest.approx(((2 / 3 + 1) / 2 + 2 / 3) / 2)  # there is one cup alone
    assert summary["pooled"]["dice"] == pytest.approx(8 / 10) and summary["counts"]["images"] == 2
    disc, cup = summary["structures"]["disc"], summary["structures"]["cup"]
    assert disc["means"]["dice"] == pytest.approx(2 / 3) and cup["means"]["dice"] == 1
    assert disc["counts"]["with_lesion"] == 2 and cup["counts"]["with_lesion"] == 1
    assert "and structure; of all structures: their mean" in summary["policy"] and "> 0.5" in summary["policy"]


def test_exclusive_structures_are_masks_by_the_largest_probability():
    assert "mask = the class of the largest fused probability" in summarise([case() | DISC], True)["policy"]


def test_scores_of_all_classes_with_and_without_the_background_and_accuracy_by_hand():
    def image(name, patient, counts):
        bins = case()[BINS]
        names = ("lesion", "vessel", "background")
        return [
            case(patient=patient) | {"image": name, "structure": structure, "tp": tp, "fp": fp, "fn": fn, BINS: bins}
            for structure, (tp, fp, fn) in zip(names, counts, strict=True)
        ]

    first = image("1.png", "a", [(2, 0, 2), (1, 1, 0), (4, 2, 1)])  # 10 pixels, 7 of them right
    second = image("2.png", "b", [(2, 0, 0), (0, 0, 0), (2, 0, 0)])  # 4, all right; no vessel, and none found
    classes = summarise([*first, *second], exclusive=True)["classes"]
    assert classes["pooled"]["accuracy"] == pytest.approx(11 / 14)
    assert classes["pooled"]["iou"] == pytest.approx((4 / 6 + 1 / 2) / 2)
    assert classes["pooled"]["iou_with_background"] == pytest.approx((4 / 6 + 1 / 2 + 6 / 9) / 3)
    assert classes["pooled"]["recall"] == pytest.approx((4 / 6 + 1) / 2)
    assert summarise(second, exclusive=True)["classes"]["pooled"]["dice"] == 1  # the vessel, which nothing has, is out
    absent = [line | {"fp": 1} if line["structure"] == "vessel" else line for line in second]
    assert summarise(absent, exclusive=True)["classes"]["pooled"]["dice"] == 0.5
    assert classes["means"]["accuracy"] == pytest.approx((0.7 + 1) / 2)
    assert classes["means"]["dice"] == pytest.approx(((4 / 6 + 2 / 3) / 2 + 1) / 2)
    alone = summarise([line for line in [*first, *second] if line["structure"] != "background"], exclusive=True)
    whole = summarise([*first, *second], exclusive=True)
    assert (
        "classes" not in alone
        and whole["means"] == alone["means"]
        and list(whole["structures"]) == ["lesion", "vessel"]
    )
