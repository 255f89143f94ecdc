"""Model cards say what the metadata and the results say."""

import csv
import json
import shutil
import sys
from pathlib import Path
from statistics import mean, median

import pytest

from noise2mask.explain.card import SECTIONS, card_problems, filled, kept, main, written
from noise2mask.explain.paired import difference, groups, hd95, of_a_lesion
from noise2mask.studies.ratio_study import ratio_table

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
SCORES = {
    "means": {"dice": 0.5, "dice_lesion": 0.25, "iou_lesion": 0.125, "hd95": 3.0, "expected_calibration_error": 0.0625},
    "intervals": {"dice": [0.4, 0.6], "dice_lesion": [0.2, 0.3], "hd95": [2.0, 4.0]},
    "pooled": {"dice": 0.75, "expected_calibration_error": 0.0312},
    "pooled_intervals": {"expected_calibration_error": [0.02, 0.04]},
    "triage": {"spearman_with_dice": None},
    "counts": {"images": 9, "with_lesion": 7, "lesions_missed": 3, "false_masks": 1, "hd95_left_out": 2},
    "policy": "p",
    "sampling": {"steps": 2, "samples": 5},
    "config": {"dataset_dir": "/somebody/s/folder"},
    "images": "digest",
    "cases": [{"patient": 0, "dice": 0.5, "hd95": 5.0, "area": 9}, {"patient": 1, "dice": 0.75, "area": 0}],
}
CASES = """image,patient,triage,tp,fn,dice,hd95,hd95_unit
/somebody/benign_b,p7,0.5,20,10,0.25,4.5,mm
a,p9,0.125,0,0,0.5,,mm
"""
ROW = (
    "| one | 0.500 (0.400 to 0.600) | 0.250 (0.200 to 0.300) "
    "| 0.125 | 3.0 (2.0 to 4.0) mm, 2 of 9 left out | 0.750 | 3 of 7 | 1 of 2 | unknown |"
)
UNCERTAINTY = "| one | 0.062 | 0.0312 (0.0200 to 0.0400) |"


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_every_card_agrees_with_metadata_and_results(root):
    assert card_problems(root) == []


@pytest.fixture
def bundle(tmp_path):
    """A copy whose card may be changed."""
    return shutil.copytree(ROOT / "bundles" / "pgdiffseg", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("## Failures", "## Successes", "section 'Failures' is missing"),
        ("Version ", "Edition ", "version is missing"),
        ("Not a medical device. Not for diagnosis", "A device", "disclaimer is missing"),
        ("## Data", "## Licence\n\n## Data", "not in the order"),
        ("| 0.7", "| 0.8", "a table is not what its results say"),
        ("arXiv:2410", "arXiv:2411", "reference"),
        ("| batch size | 8 |", "| batch size | 9 |", "the batch size of train.yaml is missing"),
        ("| epochs | 20 | 100 |", "| epochs | 20 | 99 |", "the epochs of train.yaml is missing"),
        ("| image size | 128 x 128 |", "| image size | 64 x 64 |", "the image size of train.yaml is missing"),
    ],
)
def test_what_is_changed_by_hand_is_seen(bundle, old, new, words):
    card = bundle / "docs" / "README.md"
    text = card.read_text(encoding="utf-8")
    assert old in text
    card.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert any(words in problem for problem in card_problems(bundle))


def test_a_table_of_the_trials_that_is_changed_by_hand_is_seen(bundle):
    page = bundle / "docs" / "trials.md"
    page.write_text(page.read_text(encoding="utf-8").replace("| 0.7", "| 0.8", 1), encoding="utf-8")
    assert any(
        problem.startswith("trials.md: a table is not what its results say") for problem in card_problems(bundle)
    )


def test_metrics_of_the_metadata_are_those_of_the_shipped_weights(bundle):
    path = bundle / "docs" / "results" / "shipped.json"
    shipped = json.loads(path.read_text())
    path.write_text(json.dumps({**shipped, "means": {**shipped["means"], "dice": 0.98765}}))
    assert any("eval_metrics" in problem and "0.988" in problem for problem in card_problems(bundle))


def test_a_result_is_kept_without_paths_and_makes_a_row(tmp_path, monkeypatch):
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    (tmp_path / "cases.csv").write_text(CASES)
    target = tmp_path / "results" / "one.json"
    words = ["keep", str(tmp_path / "scores.json"), str(target), "--title", "one", "--kinds", "benign", "malignant"]
    monkeypatch.setattr(sys, "argv", ["card", *words])
    main()
    assert "somebody" not in target.read_text() and json.loads(target.read_text())["counts"] == SCORES["counts"]
    card = filled("before\n<!-- table: one -->\nold\n<!-- end -->\nafter\n", tmp_path / "results")
    assert card.startswith("before\n<!-- table: one -->\n| network") and "old" not in card
    lines = card.splitlines()
    assert lines[4] == ROW and lines[-3:] == [UNCERTAINTY, "<!-- end -->", "after"]
    assert filled(card, tmp_path / "results") == card
    assert json.loads(target.read_text())["cases"] == [
        {"patient": 0, "dice": 0.5, "hd95": None, "area": 0, "triage": 0.125, "kind": None},
        {"patient": 1, "dice": 0.25, "hd95": 4.5, "area": 30, "triage": 0.5, "kind": "benign"},
    ]
    assert sum('"patient"' in line for line in target.read_text().splitlines()) == 2  # a line each


def test_every_one_of_several_structures_has_columns_of_its_own(tmp_path):
    counts = {"hd95_left_out": 1, "images": 9, "with_lesion": 5}
    own = {"means": {"dice": 0.5, "hd95": 2.0}, "intervals": {"dice": [0.4, 0.6]}, "counts": counts}
    (tmp_path / "scores.json").write_text(json.dumps({**SCORES, "structures": {"head": {**own, "pooled": {}}}}))
    (tmp_path / "cases.csv").write_text(CASES)
    result = kept(tmp_path / "scores.json", "one")
    assert result["structures"] == {"head": own}
    for name, content in (("one", result), ("without", {**result, "title": "without", "structures": {}})):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    text = filled("<!-- table: one without -->\n<!-- end -->", tmp_path).splitlines()
    assert "| Dice, where present |" in text[1] and "| structures missed |" in text[1]
    assert "| 3 of 5 | 1 of 4 |" in text[3]  # of structures, not of images
    assert text[-5:-1] == [
        "| network | Dice, head | HD95, head |",
        "| --- | --- | --- |",
        "| one | 0.500 (0.400 to 0.600) | 2.0 mm, 1 of 9 left out |",
        "| without | - | - |",
    ]


def test_of_several_structures_the_background_is_no_case_and_images_are_told_apart(tmp_path):
    lines = CASES.splitlines()
    lines = [f"{line},{name}" for line in lines[1:] for name in ("head", "background")]
    (tmp_path / "cases.csv").write_text("\n".join([CASES.splitlines()[0] + ",structure", *lines]))
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    cases = kept(tmp_path / "scores.json", "one")["cases"]
    assert [(case["image"], case["dice"]) for case in cases] == [(0, 0.5), (1, 0.25)]


def test_a_single_sample_has_no_triage_number_and_other_names_are_other_images(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({**SCORES, "sampling": {"samples": 1}}))
    (tmp_path / "cases.csv").write_text(CASES)
    first = kept(tmp_path / "scores.json", "one")
    assert [case["triage"] for case in first["cases"]] == [None, None]
    (tmp_path / "cases.csv").write_text(CASES.replace("benign_b", "benign_c"))
    second = kept(tmp_path / "scores.json", "one")
    assert first["cases"] == second["cases"] and first["images"] != second["images"]


def test_rows_of_the_same_images_are_compared_image_by_image(tmp_path):
    better = [
        {**case, "dice": case["dice"] + gain, "hd95": 3.0}
        for case, gain in zip(SCORES["cases"], (0.1, 0.3), strict=True)
    ]
    other = {**SCORES, "title": "other", "hd95_unit": "mm", "cases": better}
    elsewhere = {**other, "title": "elsewhere", "images": "another"}
    contents = {"one": {**other, **SCORES}, "other": other, "elsewhere": elsewhere}
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    text = filled("<!-- table: one other elsewhere -->\n<!-- end -->", tmp_path).splitlines()
    start = text.index("| network | Dice, all images | Dice, lesion | IoU, lesion | HD95 |")
    iou = 0.6 / 1.4 - 0.5 / 1.5
    assert text[start + 2] == f"| other | +0.200 (+0.100 to +0.300) | +0.100 | {iou:+.3f} | -2.0 mm |"
    assert text[start + 4].endswith("between the first row and: elsewhere (other images).")
    (tmp_path / "elsewhere.json").write_text(json.dumps({**other, "hd95_unit": "pixel"}))
    assert filled("<!-- table: one elsewhere -->\n<!-- end -->", tmp_path).count("| other units |") == 1


def test_a_difference_is_that_of_the_means_over_images_that_have_several_structures():
    def result(*dice):
        places = [(0, 0, 9), (0, 0, 0), (0, 1, 9), (1, 2, 9)]  # patient, image, area
        cases = [{"patient": p, "image": i, "area": a, "dice": d} for (p, i, a), d in zip(places, dice, strict=True)]
        return {"cases": cases}

    first, other = result(0.5, 0.5, 0.5, 0.5), result(0.5, 0.9, 0.7, 0.6)
    assert difference(other, first).startswith("+0.150")  # (mean of (0 + 0.4) / 2 and 0.2, which is 0.2; 0.1)
    assert difference(other, first, of=of_a_lesion).startswith("+0.100")  # (mean of 0 and 0.2; 0.1)
    cases = [{**case, "hd95": 3.0 if case["image"] else None} for case in first["cases"]]
    assert difference({"cases": cases}, {"cases": cases}, hd95, digits=1) == "+0.0 (+0.0 to +0.0)"


def test_subgroups_are_of_two_evaluations(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps({**SCORES, "title": "one"}))
    with pytest.raises(ValueError, match="not of two evaluations"):
        filled("<!-- subgroups: one -->\n<!-- end -->", tmp_path)


def test_rows_of_a_study_make_its_table_and_are_not_mixed_with_evaluations(tmp_path):
    numbers = dict.fromkeys(("dice", "dice_low", "dice_high", "dice_lesion"), 0.5)
    numbers |= dict.fromkeys(("dice_lesion_low", "dice_lesion_high", "seconds_per_image"), 0.5)
    numbers |= {"dice_lesion_of_another_condition": 0.125, "dice_lesion_of_the_prior": 0.25}
    row = {"sampler": "ddim", "start": 400, "steps": 2, "samples": 5, **numbers}
    rows = {"a": row, "b": {**row, "steps": 10, "start": None}, "c": {**row, "start": None}}
    (tmp_path / "settings_study.json").write_text(json.dumps({"basis": {"x": "y"}, "rows": rows}))
    (tmp_path / "study.json").write_text(json.dumps(kept(tmp_path / "settings_study.json", "study")))
    (tmp_path / "one.json").write_text(json.dumps(SCORES))
    card = filled("<!-- table: study -->\n<!-- end -->", tmp_path)
    assert "| ddim | prior at 400 | 2 | 5 | 0.500 (0.500 to 0.500) |" in card and "| 0.125 | 0.250 |" in card
    places = [card.index(f"| ddim | {setting} |") for setting in ("noise | 2", "noise | 10", "prior at 400 | 2")]
    assert places == sorted(places)  # whatever the order in which they were made
    both = filled("<!-- table: study study -->\n<!-- end -->", tmp_path)
    assert both.count("| study | ddim | noise | 2 |") == 2 and "| network | sampler |" in both
    bare = {name: value for name, value in row.items() if "prior" not in name}
    (tmp_path / "none.json").write_text(json.dumps({"title": "none", "rows": [bare]}))
    mixed = filled("<!-- table: none study -->\n<!-- end -->", tmp_path).splitlines()
    assert "prior alone" in mixed[1] and mixed[3].endswith("| 0.125 | - | 0.500 |")
    assert len({line.count("|") for line in mixed[1:-1]}) == 1
    assert "prior alone" not in filled("<!-- table: none -->\n<!-- end -->", tmp_path)
    with pytest.raises(ValueError, match="mixes evaluations and studies"):
        filled("<!-- table: study one -->\n<!-- end -->", tmp_path)
    with pytest.raises(ValueError, match=r"other.json does not exist"):
        filled("<!-- table: other -->\n<!-- end -->", tmp_path)


def test_robustness_studies_stand_in_a_block_of_their_own(tmp_path):
    row = {"corruption": "none", "severity": None, "images": 3, "dice": 0.5, "dice_low": 0.25, "dice_high": 0.75}
    rows = {"noise 0.2": row | {"corruption": "noise", "severity": 0.2, "triage": 0.5}, "none": row | {"triage": None}}
    (tmp_path / "robustness_study.json").write_text(json.dumps({"basis": {"x": "y"}, "rows": rows}))
    result = kept(tmp_path / "robustness_study.json", "one")
    assert [own["corruption"] for own in result["rows"]] == ["none", "noise"] and "basis" not in result
    (tmp_path / "one.json").write_text(written(result))
    card = filled("<!-- robustness: one one -->\nold\n<!-- end -->\nafter\n", tmp_path).splitlines()
    assert card[0] == "<!-- robustness: one one -->" and card[5:] == ["<!-- end -->", "after"]
    assert card[4] == "| noise 0.2 |" + " 0.500 (0.250 to 0.750) | 0.500 |" * 2
    with pytest.raises(ValueError, match="'one' is of robustness studies: call the block robustness"):
        filled("<!-- table: one -->\n<!-- end -->", tmp_path)


def test_what_pgdiffseg_says_of_its_failures_follows_from_the_kept_cases():
    cases = json.loads((ROOT / "bundles/pgdiffseg/docs/results/shipped.json").read_text())["cases"]
    by_group = {name: [cases[place] for place in places] for name, places in groups(cases).items()}
    missed = [(sum(case["dice"] == 0 for case in some), len(some)) for some in by_group.values()]
    assert missed == [(4, 26), (2, 32), (1, 32), (5, 31), (1, 31), (6, 85), (3, 41)]
    of_lesions = [round(mean(case["dice"] for case in some), 2) for some in by_group.values()][1:]
    assert of_lesions == [0.73, 0.81, 0.66, 0.65, 0.74, 0.66]
    overlooked = [case["hd95"] for case in cases if case["area"] and case["dice"] == 0]
    assert (overlooked.count(None), len(overlooked)) == (8, 9)  # without a mask there is no distance
    failures, worst = ([case for case in cases if case["dice"] < limit] for limit in (0.5, 0.1))
    assert (len(failures), len(worst), sum(case["triage"] == 0 for case in worst)) == (28, 18, 2)
    usual = median(case["triage"] for case in cases)
    assert round(usual, 3) == 0.114 and sum(case["triage"] > usual for case in failures) == 26
    unsure_first = sorted(cases, key=lambda case: -case["triage"])
    assert sum(case in failures for case in unsure_first[:15]) == 13
    means = [mean(case["dice"] for case in some) for some in (unsure_first[:15], unsure_first[15:])]
    assert [round(value, 2) for value in means] == [0.15, 0.80]


def test_what_medsegdiff_says_of_its_failures_follows_from_the_kept_cases():
    cases = json.loads((ROOT / "bundles/medsegdiff/docs/results/shipped.json").read_text())["cases"]
    quarters = [[cases[place] for place in places] for places in groups(cases).values()]
    assert [round(mean(case["dice"] for case in some), 2) for some in quarters] == [0.72, 0.73, 0.79, 0.90]
    assert max(case["area"] for case in quarters[0]) == 2477
    failures = [case for case in cases if case["dice"] < 0.5]
    assert (sum(case["dice"] == 0 for case in cases), len(failures)) == (1, 9)
    assert sum(case["triage"] < 0.2 for case in failures) == 3
    usual = median(case["triage"] for case in cases)
    assert round(usual, 2) == 0.11 and sum(case["triage"] > usual for case in failures) == 8
    unsure_first = sorted(cases, key=lambda case: -case["triage"])
    means = [mean(case["dice"] for case in some) for some in (unsure_first[:7], unsure_first[7:])]
    assert [round(value, 2) for value in means] == [0.49, 0.82]


def test_what_medsegdiff_v2_says_of_its_failures_follows_from_the_kept_cases():
    cases = json.loads((ROOT / "bundles/medsegdiff_v2/docs/results/shipped.json").read_text())["cases"]
    dice = sorted(case["dice"] for case in cases)
    assert (len(cases), sum(value < 0.8 for value in dice)) == (82, 4) and dice[0] > 0.76
    quarters = [[cases[place] for place in places] for places in groups(cases).values()]
    assert [round(mean(case["dice"] for case in some), 2) for some in quarters] == [0.86, 0.88, 0.89, 0.88]
    assert max(case["area"] for case in quarters[0]) == 1496
    unsure_first = sorted(cases, key=lambda case: -case["triage"])
    means = [mean(case["dice"] for case in some) for some in (unsure_first[:8], unsure_first[8:])]
    assert [round(value, 2) for value in means] == [0.86, 0.88]


def test_what_medsegdiff_v2_says_of_the_failures_of_fundus_follows_from_the_kept_cases():
    result = json.loads((ROOT / "bundles/medsegdiff_v2/docs/results/fundus.json").read_text())
    cases = result["cases"]  # the disc and the cup of each photograph
    assert (len(cases), result["counts"]["lesions_missed"]) == (102, 0)
    bad = [place for place, case in enumerate(cases) if case["dice"] < 0.8]
    assert len(bad) == 5 and all(place % 2 for place in bad)
    assert all(cup["area"] < disc["area"] for disc, cup in zip(cases[::2], cases[1::2], strict=True))
    worst = min(cases, key=lambda case: case["dice"])
    unsure_first = sorted(cases, key=lambda case: -case["triage"])
    assert round(worst["dice"], 2) == 0.63 and worst["triage"] == unsure_first[0]["triage"]
    means = [mean(case["dice"] for case in some) for some in (unsure_first[:10], unsure_first[10:])]
    assert [round(value, 2) for value in means] == [0.90, 0.93]


V2 = ROOT / "bundles/medsegdiff_v2/docs"
ROWS_OF_V2 = ["rows_sum", "rows_sa", "rows_u_sa", "rows_ss_former", "rows_nbp_filter"]


@pytest.fixture(scope="module")
def of_v2():
    """What the results of MedSegDiff-V2 are, by name."""
    return {path.stem: json.loads(path.read_text()) for path in (V2 / "results").glob("*.json")}


def span(values, digits):
    return " to ".join(f"{value:.{digits}f}" for value in (min(values), max(values)))


def test_what_medsegdiff_v2_says_of_steps_and_rows_follows_from_the_kept_cases(of_v2):
    def minus(name, other):
        return difference(of_v2[name], of_v2[other])

    names, page = [*ROWS_OF_V2, "drishti"], (V2 / "trials.md").read_text(encoding="utf-8")
    said = page[page.index("**Ten steps are worse") : page.index("**The triage number hardly")]
    found = [minus(f"{name}_default", f"{name}_1_step") for name in names]
    assert all(text in said for text in found)
    assert [name for name, text in zip(names, found, strict=True) if "+" in text] == ["rows_u_sa"]
    ways = ("anchor", "1_step", "default")
    former = [minus(f"{name}_{way}", f"rows_u_sa_{way}") for name in ROWS_OF_V2[3:] for way in ways]
    assert ["+" in text for text in former] == [False, True, False] * 2
    assert {text.split()[0] for text in former} == {"-0.002", "-0.003", "-0.004", "-0.005"}
    assert all("+" in minus(f"rows_nbp_filter_{way}", f"rows_ss_former_{way}") for way in ways)


def test_what_medsegdiff_v2_says_of_its_uncertainty_follows_from_the_kept_cases(of_v2):
    one, ten = ([of_v2[f"{name}_{way}"] for name in ROWS_OF_V2] for way in ("1_step", "default"))
    triage = [[mean(case["triage"] for case in result["cases"]) for result in results] for results in (one, ten)]
    assert [span(values, 2) for values in triage] == ["0.02 to 0.02", "0.14 to 0.17"]
    correlations = [result["triage"]["spearman_with_dice"] for result in one + ten]
    assert span(correlations, 2) == "-0.34 to -0.06" and sum(value < -0.31 for value in correlations) == 1
    assert span([result["means"]["expected_calibration_error"] for result in one + ten], 3) == "0.003 to 0.003"


def test_what_medsegdiff_v2_says_of_each_part_follows_from_the_results(of_v2):
    names = {name for name in of_v2 if name.startswith("rows")} - {"rows_sum_1_step", "rows_sum_default"}
    dice = {
        part: {name: of_v2[name]["structures"][part]["means"]["dice"] for name in names}
        for part in ("anterior", "posterior")
    }
    assert [span(of_part.values(), 3) for of_part in dice.values()] == ["0.871 to 0.879", "0.856 to 0.862"]
    assert span([case["dice"] for case in of_v2["rows_u_sa_1_step"]["cases"]], 2) == "0.76 to 0.93"


def test_filling_writes_the_card_and_the_trials(bundle, monkeypatch):
    pages = [bundle / "docs" / name for name in ("README.md", "trials.md")]
    right = [page.read_text(encoding="utf-8") for page in pages]
    for page, text in zip(pages, right, strict=True):
        page.write_text(text.replace("| 0.7", "| 0.8"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["card", "fill", str(bundle)])
    main()
    assert [page.read_text(encoding="utf-8") for page in pages] == right
    assert all(f"## {name}" in right[0] for name in SECTIONS)


DCI = ROOT / "bundles/diffusiondci_segmentation/docs"


def test_what_diffusiondci_says_of_its_uncertainty_follows_from_the_kept_cases():
    lines = json.loads((DCI / "results/shipped.json").read_text())["cases"]
    images = [lines[i : i + 3] for i in range(0, len(lines), 3)]
    assert len(images) == 160 and all(len({(case["triage"], case["image"]) for case in own}) == 1 for own in images)
    unsure_first = sorted(images, key=lambda own: -own[0]["triage"])
    parts = (unsure_first[:16], unsure_first[16:])
    dice = [mean(mean(case["dice"] for case in own) for own in some) for some in parts]
    assert [round(value, 2) for value in dice] == [0.6, 0.87]


@pytest.mark.parametrize("name", ["probe", "ratio_study"])
def test_the_studies_of_diffusiondci_say_what_their_results_are(name):
    page = (DCI / "trials.md").read_text(encoding="utf-8")
    with open(DCI / "results" / f"{name}.csv", encoding="utf-8") as file:
        lines = csv.DictReader(line.replace("False", "0") for line in file)
        rows = [{key: float(value) if value else None for key, value in row.items()} for row in lines]
    if name == "ratio_study":
        whole = [{**row, **{key: int(row[key]) for key in ("ratio", "run", "generated_tiles")}} for row in rows]
        assert ratio_table(whole) in page
        return
    ranked = sorted(rows, key=lambda row: row["miou_with_background"])
    words = "block {block:.0f} at timestep {timestep:.0f} ({miou_with_background:.2f})"
    worst, best = (words.format(**row) for row in (ranked[0], ranked[-1]))
    assert f"The best is {best}, the worst {worst}" in page


def test_the_table_of_generation_is_what_its_results_say():
    root = ROOT / "bundles" / "diffusiondci_generation" / "docs"
    rows = [line.split(" | ") for line in (root / "README.md").read_text().splitlines() if line.startswith("| ")]
    for name in ("both", "both_guided_1", "both_unguided", "mask", "reference"):
        found = json.loads((root / "results" / f"{name}.json").read_text())
        (row,) = (row for row in rows if row[0] == f"| {found['title']}")
        assert row[1:3] == [f"{found[key]['generated']:.{n}f}" for key, n in (("frechet_distance", 0), ("mmd", 2))]
        agreement = found["agreement"]
        means = [found["diversity"]["mean"], found["ms_ssim"]["mean"], agreement["mean"]]
        assert [float(row[column].split()[0]) for column in (3, 4, 6)] == [round(mean, 2) for mean in means]
        assert row[5] == f"{found['memorisation']['suspicious']['mean']:.1%}"


def test_what_is_said_of_the_shipped_generator_is_what_was_measured():
    root = ROOT / "bundles" / "diffusiondci_generation" / "docs"
    found = json.loads((root / "results/shipped.json").read_text())
    own, real = found["frechet_distance"]["generated"], found["frechet_distance"]["training"]
    words = f"Frechet distance {own:.0f} (training tiles against held-out ones: {real:.0f}), MMD "
    words += f"{found['mmd']['generated']:.2f}, diversity {found['diversity']['mean']:.2f}"
    near, agreement = found["memorisation"]["suspicious"]["mean"], found["agreement"]
    card = (root / "README.md").read_text()
    assert words in card and f"{near:.1%} near a training tile, agreement {agreement['mean']:.2f}" in card
    assert f"real tiles with the same BasicUNet: {agreement['real_tiles']:.2f}" in card
    more = json.loads((root / "results/more_epochs.json").read_text())
    words = (
        f"Frechet distance {more['frechet_distance']['generated']:.1f}, MMD {more['mmd']['generated']:.2f}, diversity "
    )
    assert words + f"{more['diversity']['mean']:.2f} ({more['diversity']['low']:.2f} to" in card
    assert more["memorisation"]["suspicious"]["mean"] == 0 and "none near a training tile (`results/more" in card
