"""Lines of several structures, from channels; one of a single channel has no name."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.handlers.scores import channels_of, scored

LABEL = torch.tensor([[[1, 0, 0, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 1]]], dtype=torch.float32)  # background, two parts
MASK = torch.tensor([[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 1, 1]]], dtype=torch.float32)


def item(mask, label):
    image = MetaTensor(torch.zeros(1, 1, 4), meta={"filename_or_obj": "a.png"})
    samples = torch.stack([mask, label]).flatten(0, 1)  # (N * K, 1, 4), as the evaluator has it
    return {"image": image, "mask": mask, "label": label, "probability": mask, "samples": samples, "triage": 0.25}


def same(item, maps):
    return maps


def test_each_exclusive_structure_has_a_line_and_the_background_none():
    head, tail = scored(item(MASK, LABEL), {}, same, channels_of(("head", "tail"), True), exclusive=True)
    assert (head["structure"], head["tp"], head["fp"], head["fn"]) == ("head", 1, 0, 1)
    assert (tail["structure"], tail["tp"], tail["fp"], tail["fn"]) == ("tail", 1, 1, 0)
    assert head["dice_best"] == tail["dice_best"] == 1 and head["dice_mean"] == pytest.approx(5 / 6)
    assert head["image"] == tail["image"] == "a.png" and head["triage"] == tail["triage"] == 0.25


def test_a_sample_of_exclusive_structures_has_its_largest_class_even_below_a_half():
    unsure = 0.1 * LABEL + 0.3  # the right class has 0.4, the others 0.3
    own = item(LABEL, LABEL) | {"samples": torch.cat([unsure, unsure])}
    lines = scored(own, {}, same, channels_of(("head", "tail"), True), exclusive=True)
    assert [line["dice_mean"] for line in lines] == [line["dice_best"] for line in lines] == [1, 1]


def test_overlapping_structures_begin_at_the_first_channel_and_one_channel_has_no_name():
    lines = scored(item(MASK, LABEL), {}, same, channels_of(("a", "b", "c"), False))
    assert [line["structure"] for line in lines] == ["a", "b", "c"] and lines[0]["dice"] == 1
    (line,) = scored(item(MASK[1:2], LABEL[1:2]), {}, same)
    assert "structure" not in line and line["dice"] == lines[1]["dice"]


def test_an_image_of_which_nobody_labelled_anything_is_named():
    with pytest.raises(ValueError, match=r"The label of a\.png has no labelled pixel"):
        scored(item(MASK, 0 * LABEL), {}, same, channels_of(("head", "tail"), True), exclusive=True)


def test_the_background_has_a_line_where_it_is_asked_for_and_pixels_of_no_class_are_in_none():
    label = LABEL.clone()
    label[:, 0, 2] = 0  # nobody labelled it; the mask has a tail there
    lines = scored(item(MASK, label), {}, same, channels_of(("head", "tail"), True, background=True), exclusive=True)
    counts = {line["structure"]: (line["tp"], line["fp"], line["fn"]) for line in lines}
    assert counts == {"head": (1, 0, 0), "tail": (1, 0, 0), "background": (1, 0, 0)}
    assert all(line["expected_calibration_error"] == 0 and line["dice_mean"] == 1 for line in lines)
