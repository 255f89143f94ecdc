"""The ratio study adds generated tiles to the training alone, nested, for as many steps, and scores real ones."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tests.conftest import ROOT

from noise2mask.studies.ablation import Ablation
from noise2mask.studies.ratio_study import RatioStudy, ratio_table

BUNDLE = ROOT / "bundles" / "diffusiondci_segmentation"
SECTIONS = {"training": 8, "validation": 2, "testing": 3}


def tiles(folder, sections=SECTIONS, name="real"):
    """A data set of tiles of one value, each of a patient of its own."""
    content = {"group_by": "group"}
    for key, count in sections.items():
        content[key] = [{part: f"{part}/{name}_{key}_{i}.png" for part in ("image", "label")} for i in range(count)]
        for i, item in enumerate(content[key]):
            item |= {"patient": f"{key}_{i}"} | ({"place": [0, 0, 4]} if name == "real" else {})
            for path in (folder / item["image"], folder / item["label"]):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def real(tmp_path):
    return tiles(tmp_path / "real")


@pytest.fixture
def pool(tmp_path):
    return tiles(tmp_path / "pool", {"training": 8}, "generated")


def study(real, pool, folder, **options):
    return RatioStudy(str(BUNDLE), str(real), str(pool), str(folder), overlays=["data/folder"], **options)


def listed(folder, ratio, run):
    return json.loads((folder / "data" / f"{ratio}_run_{run}.json").read_text())


def generated(folder, ratio, run):
    return {item["image"] for item in listed(folder, ratio, run)["training"] if "generated" in item["image"]}


def test_parts_of_the_pool_are_nested_drawn_anew_in_each_run_and_in_training_alone(real, pool, tmp_path):
    study(real, pool, tmp_path / "out", ratios=[0, 50, 75, 100], runs=2)
    for run in (0, 1):
        sets = [generated(tmp_path / "out", ratio, run) for ratio in (0, 50, 75, 100)]
        assert [len(own) for own in sets] == [0, 4, 6, 8] and sets[1] < sets[2] < sets[3]
        whole = listed(tmp_path / "out", 75, run)
        assert [len(whole[key]) for key in SECTIONS] == [14, 2, 3]
        assert all("generated" not in item["image"] for key in ("validation", "testing") for item in whole[key])
        assert whole["testing"][0]["group_by"] == "group"
        assert {frozenset(item) for item in whole["training"]} == {frozenset(("image", "label", "patient"))}
    assert generated(tmp_path / "out", 50, 0) != generated(tmp_path / "out", 50, 1)


def test_an_epoch_has_as_many_tiles_at_every_ratio_and_runs_differ_by_their_seeds(real, pool, tmp_path):
    own = study(real, pool, tmp_path / "out", ratios=[0, 50, 100], runs=2, settings={"epochs": 6})
    found = {name: (row["epochs"], row["epoch_tiles"], row["seed"]) for name, row in own.ablation.rows.items()}
    assert found == {f"{ratio} %, run {run}": (6, 8, run) for ratio in (0, 50, 100) for run in (0, 1)}
    assert [len(listed(tmp_path / "out", ratio, 0)["training"]) for ratio in (0, 50, 100)] == [8, 12, 16]


def test_tiles_made_of_held_out_patients_and_another_pool_are_refused(real, pool, tmp_path):
    leaking = json.loads((pool / "datalist.json").read_text())
    leaking["training"][3]["patient"] = "testing_1"
    (tmp_path / "leak").mkdir()
    (tmp_path / "pool" / "datalist.json").write_text(json.dumps(leaking))
    with pytest.raises(ValueError, match="testing_1"):
        study(real, pool, tmp_path / "out", ratios=[100], runs=1)
    study(real, tiles(tmp_path / "one", {"training": 4}, "generated"), tmp_path / "two", ratios=[100], runs=1)
    with pytest.raises(ValueError, match="100_run_0.json lists other tiles than this call: give another output_dir"):
        study(real, tiles(tmp_path / "other", {"training": 5}, "generated"), tmp_path / "two", ratios=[100], runs=1)


def test_a_pool_without_patients_and_normal_colours_are_refused(real, pool, tmp_path):
    with pytest.raises(ValueError, match="normalise_colours is true, but generated tiles have no slide"):
        study(real, pool, tmp_path / "out", settings={"normalise_colours": True})
    content = json.loads((pool / "datalist.json").read_text())
    del content["training"][5]["patient"]
    (pool / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="generated_training_5.png names no patient, so that it may be made of a test"):
        study(real, pool, tmp_path / "out")


@pytest.mark.parametrize("options", [{"ratios": []}, {"ratios": [0, 101]}, {"runs": 0}])
def test_impossible_ratios_are_refused(real, pool, tmp_path, options):
    with pytest.raises(ValueError, match="expected 0 to 100 percent, and at least 1"):
        study(real, pool, tmp_path / "out", **options)


def test_a_table_has_mean_and_standard_deviation_of_each_ratio():
    score = {"iou": 0.5, "pooled_dice_with_background": 0.5, "pooled_iou_with_background": 0.5, "accuracy": 0.5}
    rows = [
        {"ratio": ratio, "run": run, "generated_tiles": ratio, "dice": dice, **score}
        for ratio, run, dice in ((0, 0, 0.2), (0, 1, 0.4), (50, 0, 0.7))
    ]
    lines = ratio_table(rows).splitlines()
    assert "| 0 % | 0 | 2 | 0.300 ± 0.141 | 0.500 ± 0.000 |" in lines[2] and "| 50 % | 50 | 1 | 0.700 |" in lines[3]


def test_results_are_gathered_from_the_rows_that_were_scored(real, pool, tmp_path, monkeypatch):
    """Training and scoring have end-to-end tests of their own: here stand their results."""

    def scored(self):
        for number, name in enumerate(self.rows):
            means = {"dice": number / 10, "iou": 0.1}
            pooled = {"dice_with_background": 0.2, "iou_with_background": 0.3, "accuracy": 0.4}
            path = self.folder / f"{name.replace(' %, ', '_').replace(' ', '_')}.json"
            path.write_text(json.dumps({"classes": {"means": means, "pooled": pooled}}))

    monkeypatch.setattr(Ablation, "run", scored)
    table = study(real, pool, tmp_path / "out", ratios=[0, 100], runs=2).run()
    assert "| 0 % | 0 | 2 | 0.100 ± 0.141 | 0.100 ± 0.000 | 0.200 ± 0.000 | 0.300 ± 0.000 | 0.400 ± 0.000 |" in table
    rows = list(csv.DictReader((tmp_path / "out" / "ratio_study.csv").open()))
    assert [(row["ratio"], row["run"], row["dice"]) for row in rows] == [
        ("0", "0", "0.0"), ("0", "1", "0.2"), ("100", "0", "0.1"), ("100", "1", "0.3"),
    ]  # fmt: skip
    assert Image.open(tmp_path / "out" / "ratio_study.png").width > 300
