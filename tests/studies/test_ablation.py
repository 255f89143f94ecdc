"""An ablation trains, scores and tabulates its rows, and does nothing twice."""

import json

import pytest
from tests.conftest import ROOT

from noise2mask.studies.ablation import Ablation, file_name

BUNDLE = ROOT / "bundles" / "medsegdiff"
SETTINGS = {
    "epochs": 1, "val_interval": 1, "image_size": "[16,16]", "validation_steps": 1, "batch_size": 16,
    "network_def::base": 4, "network_def::num_groups": 2, "network_def::grid": 4, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def ablated(demo, tmp_path_factory):
    """An ablation of one row and its table."""
    folder = tmp_path_factory.mktemp("ablation")
    rows = {"sum only, no filter": {"network_def::dynamic_encoding": "none", "network_def::ff_parser": False}}
    ablation = Ablation(str(BUNDLE), str(demo), str(folder), rows, ["data/folder"], SETTINGS)
    return ablation, ablation.run(), folder


def test_the_row_was_trained_with_its_switches_and_scored(ablated):
    _, table, folder = ablated
    run = folder / "sum_only_no_filter"
    settings = (run / "model.yaml").read_text()
    assert "dynamic_encoding: none" in settings and "ff_parser: false" in settings and "base: 4" in settings
    means = json.loads((run / "validation" / "scores.json").read_text())["means"]
    kept = json.loads((folder / "sum_only_no_filter.json").read_text())
    assert kept["means"]["dice"] == means["dice"] and kept["title"] == "sum only, no filter"
    assert f"| sum only, no filter | {means['dice']:.3f}" in table
    assert (folder / "ablation.md").read_text() == table


def test_what_is_done_is_not_done_again(ablated):
    ablation, table, folder = ablated
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    assert ablation.run() == table
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}


def test_a_row_of_other_settings_is_not_taken_for_done(ablated, demo):
    ablation, _, folder = ablated
    other = Ablation(str(BUNDLE), str(demo), str(folder), ablation.rows, ["data/folder"], {**SETTINGS, "epochs": 2})
    with pytest.raises(ValueError, match=r"sum_only_no_filter/trained_with\.json names other overlays or settings"):
        other.run()


def test_a_run_that_stops_ends_the_ablation(tmp_path):
    ablation = Ablation(str(BUNDLE), str(tmp_path / "nowhere"), str(tmp_path), {"one": {}}, ["data/folder"])
    with pytest.raises(ValueError, match="one: the run stopped, its last lines say why"):
        ablation.run()


def test_impossible_ablations_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no rows"):
        Ablation(str(BUNDLE), "data", str(tmp_path), {})
    with pytest.raises(ValueError, match=r"data/ddtj\.yaml does not exist"):
        Ablation(str(BUNDLE), "data", str(tmp_path), {"one": {}}, ["data/ddtj"])


def test_rows_have_names_that_files_can_have():
    assert file_name("tanh gate, FF-Parser") == "tanh_gate_ff_parser"
