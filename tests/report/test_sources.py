"""Output folders are told apart by what they hold, and what is in them is read whole or refused."""

import json

import numpy as np
import pytest

from noise2mask.report.sources import read_sources

from .results import evaluation, segmentation, training


def test_an_evaluation_has_a_case_for_each_image_with_its_numbers(tmp_path):
    found, trainings = read_sources([evaluation(tmp_path)])
    assert found.labelled and not trainings and [case.patient for case in found.cases] == ["p0", "p0", "p1"]
    first = found.cases[0].numbers
    assert first["mask_pixels"] == first["tp"] + first["fp"] and found.unit == "pixel"
    assert 2 * first["tp"] / (first["mask_pixels"] + first["label_pixels"]) == pytest.approx(first["dice"])


def test_of_several_structures_a_case_has_their_mean_and_the_sum_of_their_pixels(tmp_path):
    (case, *_), _ = (read_sources([evaluation(tmp_path, structures=("head", "tail"))])[0].cases, None)
    head, tail = case.structures["head"], case.structures["tail"]
    assert case.numbers["dice"] == pytest.approx((head["dice"] + tail["dice"]) / 2)
    assert case.numbers["label_pixels"] == head["label_pixels"] + tail["label_pixels"]


def test_mistakes_that_a_mean_hides_are_noted(tmp_path):
    evaluation(tmp_path, count=2)
    text = (tmp_path / "cases.csv").read_text().splitlines()
    rows = [dict(zip(text[0].split(","), line.split(","), strict=True)) for line in text[1:]]
    rows[0] |= {"tp": "0", "fp": "4", "fn": "9"}
    rows[1] |= {"tp": "0", "fp": "4", "fn": "0"}
    (tmp_path / "cases.csv").write_text("\n".join([text[0], *(",".join(row.values()) for row in rows)]) + "\n")
    assert [case.notes for case in read_sources([tmp_path])[0].cases] == [["missed"], ["false mask"]]


def test_a_segmentation_has_no_scores_and_keeps_its_warnings(tmp_path):
    segmentation(tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    report["cases"][1]["warning"] = "hardly fits"
    (tmp_path / "report.json").write_text(json.dumps(report))
    found, _ = read_sources([tmp_path])
    assert not found.labelled and [case.notes for case in found.cases] == [["no mask"], ["hardly fits"], []]
    assert "dice" not in found.cases[0].numbers and found.cases[2].numbers["triage"] == 0.02


def test_curves_of_a_training_keep_the_last_value_and_the_mean_of_what_is_too_many(tmp_path):
    _, (found,) = read_sources([training(tmp_path)])
    dice, loss = found.curves["dice"], found.curves["train_loss"]
    assert (dice.steps, dice.values, dice.axis, dice.averaged) == ([1, 2], [0.5, 0.75], "epoch", 1)
    assert loss.averaged == 3 and len(loss.values) == 234 and loss.axis == "iteration"
    assert loss.steps[0] == 2 and loss.values[0] == pytest.approx(np.mean([700, 350, 700 / 3]))


def test_of_a_step_that_was_done_twice_the_later_value_counts(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    for time, value in ((10.0, 0.25), (20.0, 0.125)):
        with SummaryWriter(str(tmp_path), filename_suffix=f".{time}") as writer:
            writer.add_scalar("dice", value, 1, walltime=time)
    assert read_sources([tmp_path])[1][0].curves["dice"].values == [0.125]


def test_one_folder_may_hold_a_training_and_its_evaluation(tmp_path):
    found, trainings = read_sources([evaluation(training(tmp_path))])
    assert len(found.cases) == 3 and len(trainings) == 1


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "is empty"),
        ({"a.txt": "", "b.txt": ""}, "holds a.txt, b.txt"),
        ({"report.json": '{"images": 3}'}, "holds report.json"),
    ],
)
def test_a_folder_of_nothing_that_is_known_is_refused_with_what_it_holds(tmp_path, files, found):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{tmp_path.name} {found}; expected scores\.json .*: give one of these"):
        read_sources([tmp_path])


def test_a_file_and_a_folder_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        read_sources([tmp_path / "nowhere"])
    (tmp_path / "scores.json").touch()
    with pytest.raises(ValueError, match=r"scores\.json is a file"):
        read_sources([tmp_path / "scores.json"])


def test_cases_of_two_folders_are_refused(tmp_path):
    folders = [evaluation(tmp_path / "a"), segmentation_in(tmp_path / "b")]
    with pytest.raises(ValueError, match=r"a and .*b both hold cases, expected one of them in a page"):
        read_sources(folders)


def segmentation_in(folder):
    folder.mkdir()
    return segmentation(folder)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("scores.json", "{", r"scores\.json is no JSON"),
        ("scores.json", "[]", r"scores\.json holds a list"),
        ("scores.json", "{}", "is no output of noise2mask evaluate .*'means'"),
        ("cases.csv", "image,dice\na,0.5\n", "is no output of noise2mask evaluate .*'tp'"),
        ("cases.csv", "image,tp,fp,fn\na,x,1,1\n", "is no output of noise2mask evaluate"),
        ("report.json", '{"cases": [{}]}', r"report\.json is no report of noise2mask segment .*'pixels'"),
    ],
)
def test_damaged_results_are_refused_by_name(tmp_path, name, text, words):
    if name != "report.json":
        evaluation(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        read_sources([tmp_path])


def test_scores_without_their_cases_are_refused(tmp_path):
    evaluation(tmp_path)
    (tmp_path / "cases.csv").unlink()
    with pytest.raises(ValueError, match=r"cases\.csv does not exist, but scores\.json beside it does"):
        read_sources([tmp_path])


def test_an_evaluation_and_a_segmentation_in_one_folder_are_refused(tmp_path):
    segmentation(evaluation(tmp_path))
    with pytest.raises(ValueError, match=r"holds scores\.json .* and report\.json .*: .* into folders of their own"):
        read_sources([tmp_path])
