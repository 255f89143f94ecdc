"""The page holds what was found, asks for nothing from outside, and lets nothing from a file become code."""

import json
import re

import pytest

from noise2mask.explain.card import DISCLAIMER
from noise2mask.explain.case_file import UNLABELLED, case_names, case_path, write_case
from noise2mask.explain.colours import COLOURS, FALSE, HIT, MISSED, WRONG
from noise2mask.report.page import write_report
from noise2mask.report.pictures import LEFT_OUT, read_pictures
from noise2mask.report.sources import read_sources

from .results import evaluation, record, segmentation, training


def page(tmp_path, *folders, **how):
    return write_report(folders, tmp_path / "page" / "report.html", **how).read_text(encoding="utf-8")


def embedded(text):
    """What the viewer reads of each case."""
    found = re.findall(r'<script type="application/json" id="case-(\d+)">(.*?)</script>', text, re.S)
    return {int(number): json.loads(content) for number, content in found}


def names(text):
    """Of the rows, from top to bottom."""
    return re.findall(r'<button type="button" class="open">([^<]*)</button>', text)


@pytest.fixture
def scored(tmp_path):
    folder = tmp_path / "scores"
    folder.mkdir()
    return evaluation(folder)


def test_a_page_names_bundle_weights_versions_policy_and_what_it_is_not(scored, tmp_path):
    text = page(tmp_path, scored)
    assert text.count(DISCLAIMER) == 3 and "Evaluation: PGDiffSeg" in text and "0123abcd" in text
    assert "torch 2.13.0" in text and "image_size::0" in text and "empty label and empty mask count 1" in text
    assert "Means over patients." in text and "Clinical decisions of any kind" in text
    assert "other weights than those that ship" in text


def test_nothing_in_a_page_leads_outside(scored, tmp_path):
    text = page(tmp_path, scored, training(tmp_path / "run"))
    assert "default-src 'none'; img-src data:;" in text
    links = re.findall(r'<[^>]*\s(?:src|href|srcset|action|poster|data)="([^"]{1,40})', text)
    assert {link.split(",")[0].split(";")[0] for link in links} <= {"data:image/webp", "data:", *anchors(text)}
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|localStorage", text)


def anchors(text):
    return {f"#{name}" for name in re.findall(r'id="(\w+)"', text)}


def test_every_section_that_is_linked_is_there(scored, tmp_path):
    text = page(tmp_path, scored)
    linked = set(re.findall(r'href="(#\w+)"', text))
    assert len(linked) == 7 and linked <= anchors(text)


def test_the_worst_case_comes_first_with_labels_and_the_most_uncertain_without(scored, tmp_path):
    cases = read_sources([scored])[0].cases
    worst = sorted(cases, key=lambda case: case.numbers["dice"])
    assert names(page(tmp_path, scored)) == [case.image.split("/")[-1] for case in worst]
    (tmp_path / "masks").mkdir()
    text = page(tmp_path, segmentation(tmp_path / "masks"))
    assert names(text) == ["case_2.png", "case_1.png", "case_0.png"]


def test_without_labels_there_are_no_scores_and_the_page_says_why(tmp_path):
    text = page(tmp_path, segmentation(tmp_path))
    assert "These images have no labels" in text and "Segmentation: PGDiffSeg" in text
    assert 'id="calibration"' not in text and 'data-key="dice"' not in text and 'data-preset="worst"' not in text
    assert "label" not in embedded(text)[0]["layers"]["sheets"]


def test_names_from_files_never_become_code(tmp_path):
    image = "/data/<img src=x onerror=alert(1)>'\"</script>.png"
    write_case(record(image, labelled=False), case_path(tmp_path, "</script>"))
    entry = {"image": image, "triage": 0.5, "pixels": 1, "fraction": 0.1, "warning": "<b>&amp;"}
    facts = {"config": {"</script><script>": "<svg onload=x>"}, "versions": {"<u>": "<i>"}, "sampling": {"<s>": "<a>"}}
    (tmp_path / "report.json").write_text(json.dumps(facts | {"cases": [entry]}))
    text = page(tmp_path, tmp_path)
    assert "<img src=x" not in text and "<b>&" not in text and "<svg onload" not in text and "<i>" not in text
    assert text.count("</script>") == 3  # of one case, of the colours, and of the page's own
    assert embedded(text)[0]["path"] == image and embedded(text)[0]["notes"] == ["<b>&amp;"]


def test_missing_damaged_and_foreign_case_files_are_named_and_the_rest_is_there(scored, tmp_path, caplog):
    case_path(scored, "case_0").unlink()
    case_path(scored, "case_1").write_bytes(b"PK")
    text = page(tmp_path, scored)
    cases = embedded(text)
    assert "case_0.npz does not exist" in cases[0]["missing"] and "is no case of noise2mask" in cases[1]["missing"]
    assert cases[0]["layers"] is cases[1]["layers"] is None and cases[2]["layers"]["samples"] == 3
    assert "2 of 3 cases have no pictures" in text and "case_0.png: no pictures" in caplog.text
    write_case(record("/elsewhere/other.png"), case_path(scored, "case_0"))
    assert "case_0.npz is of /elsewhere/other.png" in embedded(page(tmp_path, scored))[0]["missing"]


def test_arrays_of_different_sizes_are_named(scored, tmp_path):
    broken = record("/data/case_0.png")
    write_case(broken._replace(std=broken.std[:3]), case_path(scored, "case_0"))
    assert "its std is uint8 of (3, 16)" in embedded(page(tmp_path, scored))[0]["missing"]


def test_where_the_pictures_are_too_large_the_first_in_the_order_keep_theirs(scored):
    cases = read_sources([scored])[0].cases
    full = read_pictures(scored, cases, [2, 0, 1])
    sizes = [len(own.layers) + len(own.small) for own in full]
    some = read_pictures(scored, cases, [2, 0, 1], most=sizes[2] + sizes[0])
    assert [bool(own.layers) for own in some] == [True, False, True] and some[1].missing == LEFT_OUT
    assert [own.missing for own in read_pictures(scored, cases, [2, 0, 1], most=sizes[2] - 1)] == [LEFT_OUT] * 3


def test_several_structures_have_a_table_a_column_of_dice_and_numbers_of_each(tmp_path):
    text = page(tmp_path, evaluation(tmp_path, structures=("head", "tail"), shape=(16, 16, 4), ending=".nii.gz"))
    assert "Each structure" in text and 'data-key="dice head"' in text and 'data-key="dice tail"' in text
    case = embedded(text)[0]
    assert case["details"]["head"] == ["", "all structures", "head", "tail"]
    assert case["layers"]["slices"] == [0, 1, 2, 3] and case["layers"]["structures"] == ["head", "tail"]


def test_a_training_alone_has_curves_and_no_cases(tmp_path):
    text = page(tmp_path, training(tmp_path / "run"))
    assert text.count('<svg class="chart"') == 2 and "each point the mean of 3 iterations" in text
    assert 'id="cases"' not in text and "<dialog" not in text and "Training" in text
    for how in ({}, {"bundle": "pgdiffseg"}):
        text = page(tmp_path, tmp_path / "run", **how)
        assert not re.search(r"results (do|were)", text)


def test_a_training_of_other_weights_than_the_results_is_told_so(scored, tmp_path):
    run = training(tmp_path / "run")
    (run / "model.pt").write_bytes(b"others")
    text = page(tmp_path, scored, run)
    assert "These results were made with other weights than this training&#39;s best." in text


def test_results_of_before_are_shown_and_what_they_do_not_say_is_told(scored, tmp_path):
    scores = json.loads((scored / "scores.json").read_text())
    for name in ("bundle", "weights", "device", "versions"):
        del scores[name]
    (scored / "scores.json").write_text(json.dumps(scores))
    text = page(tmp_path, scored)
    assert text.count("the results do not say") == 4 and "give it with --bundle NAME" in text
    assert "(date of scores.json)" in text
    assert "From the card of PGDiffSeg" in page(tmp_path, scored, bundle="pgdiffseg")


def test_images_that_were_trained_on_are_warned_of_first(scored, tmp_path):
    scores = json.loads((scored / "scores.json").read_text())
    scores["counts"]["trained_on"] = 2
    (scored / "scores.json").write_text(json.dumps(scores))
    text = page(tmp_path, scored)
    assert text.index("2 of these images were trained on") < text.index('class="cards"')


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    entry = {"triage": 0.5, "pixels": 1, "fraction": 0.1}
    cases = [{"image": f"/data/{name}/scan.png", **entry} for name in "ab"]
    (tmp_path / "report.json").write_text(json.dumps({"cases": cases}))
    assert names(page(tmp_path, tmp_path)) == ["a/scan.png", "b/scan.png"]


def test_a_folder_in_place_of_the_page_is_refused(scored, tmp_path):
    with pytest.raises(ValueError, match="is a folder, expected a file for the page"):
        write_report([scored], tmp_path)


def test_colours_and_what_is_not_labelled_stand_in_the_page_once_as_the_figures_have_them(scored, tmp_path):
    text = page(tmp_path, scored)
    said = json.loads(re.search(r'<script type="application/json" id="said">(.*?)</script>', text)[1])
    assert said["colours"] == list(COLOURS) and said["unlabelled"] == UNLABELLED
    assert [tuple(said["errors"][name]) for name in ("hit", "missed", "false", "wrong")] == [HIT, MISSED, FALSE, WRONG]
    assert text.count(COLOURS[0]) == 1


def test_an_image_of_the_same_name_is_another_where_the_results_have_both_and_a_moved_one_where_not(tmp_path):
    entry = {"triage": 0.5, "pixels": 1, "fraction": 0.1}
    images = [f"/data/{name}/scan.png" for name in "ab"]
    (tmp_path / "report.json").write_text(json.dumps({"cases": [{"image": image, **entry} for image in images]}))
    for image, name in case_names(images).items():
        write_case(record("/data/a/scan.png" if "/b/" in image else "/moved/scan.png"), case_path(tmp_path, name))
    first, second = embedded(page(tmp_path, tmp_path)).values()
    assert first["layers"] and not first["missing"] and "is of /data/a/scan.png" in second["missing"]


def test_what_is_missed_in_the_worst_structure_comes_first_though_the_mean_is_better(tmp_path):
    rows = [("a.png", "head", 0.6), ("a.png", "tail", 0.6), ("b.png", "head", 1.0), ("b.png", "tail", 0.4)]
    evaluation(tmp_path, count=1, structures=("head", "tail"))
    head = "image,patient,group_by,structure,triage,dice,tp,fp,fn,hd95_unit,iou,hd95\n"
    lines = [f"{image},p,group,{name},0,{dice},1,1,1,pixel,0.5,1\n" for image, name, dice in rows]
    (tmp_path / "cases.csv").write_text(head + "".join(lines))
    text = page(tmp_path, tmp_path)
    assert names(text) == ["b.png", "a.png"] and 'data-key="dice_worst"' in text
    assert embedded(text)[0]["unit"] == "group" and "outlined in orange" not in text


def test_a_selection_of_images_is_said_to_be_one(scored, tmp_path):
    scores, said = json.loads((scored / "scores.json").read_text()), "A selection of 3 images, not the whole set"
    for most, selected in (("3", True), ("4", False), ("None", False)):
        scores["config"]["most_cases"] = most
        (scored / "scores.json").write_text(json.dumps(scores))
        assert (said in page(tmp_path, scored)) == selected
    assert "A selection" not in page(tmp_path, segmentation(tmp_path))


def test_images_without_a_lesion_have_a_mark_of_their_own_and_hidden_ones_are_counted(tmp_path):
    evaluation(tmp_path, count=1)
    head = "image,patient,group_by,triage,dice,tp,fp,fn,hd95_unit,iou,hd95\n"
    missed = "".join(f"{name}.png,p,patient,0,0,0,0,9,pixel,0,\n" for name in "abc")
    (tmp_path / "cases.csv").write_text(f"{head}{missed}d.png,q,patient,0.5,1,0,0,0,pixel,1,\n")
    text = page(tmp_path, tmp_path)
    assert (
        "2 would lie on others" in text and ">3</text>" in text and text.count('class="hollow"') == 2
    )  # and the legend
    assert "with a lesion or structure</li>" in text and "without one</li>" in text


def test_the_rest_of_the_page_takes_room_from_the_pictures(scored, tmp_path, monkeypatch):
    full = len(page(tmp_path, scored).encode())
    monkeypatch.setattr("noise2mask.report.page.MOST_BYTES", full - 1000)
    text = page(tmp_path, scored)
    assert len(text.encode()) < full - 1000 and LEFT_OUT in text
    assert [bool(case["layers"]) for case in embedded(text).values()].count(True) == 2
