"""An ablation trains, scores and tabulates its rows, and does nothing twice."""

import json
import subprocess

import pytest
import yaml
from tests.conftest import ROOT

from noise2mask.studies.ablation import Ablation, file_name

BUNDLE = ROOT / "bundles" / "medsegdiff"
CONFIG = BUNDLE / "configs" / "ablation.yaml"
SETTINGS = {
    "epochs": 1, "val_interval": 1, "image_size": [16, 16], "validation_steps": 1, "batch_size": 16,
    "network_def::base": 4, "network_def::num_groups": 2, "network_def::grid": 4, "device": "cpu",
}  # fmt: skip
ROWS = {
    "sum only, no filter": {"network_def::dynamic_encoding": "none", "network_def::ff_parser": False},
    "equation 3": {"network_def::dynamic_encoding": "exact"},
}


def ablation(data, folder, rows=ROWS, **options):
    return Ablation(str(BUNDLE), str(data), str(folder), rows, **{"overlays": ["data/folder"], **options})


@pytest.mark.e2e
def test_rows_are_trained_with_their_switches_and_scored_and_nothing_is_done_twice(commands, demo, tmp_path):
    """One test: several workers would each train the rows anew."""
    where = ("--bundle_root", BUNDLE, "--config_file", CONFIG, "--dataset_dir", demo, "--output_dir", tmp_path)
    what = ("--rows", ROWS, "--settings", SETTINGS)
    commands.run(["-m", "monai.bundle", "run", "ablating", *map(str, (*where, *what))])
    table = (tmp_path / "ablation.md").read_text()
    check_rows(tmp_path, table)
    before = times(tmp_path)
    assert ablation(demo, tmp_path, settings=SETTINGS).run() == table
    assert {p: t for p, t in before.items() if p.suffix == ".pt"}.items() <= times(tmp_path).items()
    before = times(tmp_path)
    for other, words in OTHERS:
        given = {"data": demo, "settings": SETTINGS} | other
        with pytest.raises(ValueError, match=words):
            ablation(folder=tmp_path, **given).run()
    assert before == times(tmp_path)


OTHERS = [  # a row of other data or settings is not taken for done
    ({"settings": {**SETTINGS, "epochs": 2}}, "sum_only_no_filter/trained_with.json has other settings"),
    ({"overlays": ["data/folder", "presets/size_64"]}, "has other overlays than this call"),
    ({"data": "elsewhere"}, "has other data than this call: give another output_dir"),
    ({"rows": {**ROWS, "equation 3": {}}}, "equation_3/trained_with.json has other settings"),
]


def check_rows(folder, table):
    expected = {"sum only, no filter": ("none", "false"), "equation 3": ("exact", "true")}
    for title, (gate, parser) in expected.items():
        run = folder / file_name(title)
        settings = (run / "model.yaml").read_text()
        assert f"dynamic_encoding: {gate}" in settings and f"ff_parser: {parser}" in settings and "base: 4" in settings
        means = json.loads((run / "validation" / "scores.json").read_text())["means"]
        kept = json.loads((folder / f"{file_name(title)}.json").read_text())
        assert kept["means"]["dice"] == means["dice"] and kept["title"] == title
        assert f"| {title} | {means['dice']:.3f}" in table


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.e2e
def test_a_run_that_stops_ends_the_ablation_and_binds_no_folder(tmp_path, monkeypatch):
    words = "one: the run stopped, its last lines say why"
    with pytest.raises(ValueError, match=words):
        ablation(tmp_path / "nowhere", tmp_path, {"one": {}}, settings={"epochs": 1}).run()
    # With other settings it gets as far again: the real run would spend its seconds to the same end
    monkeypatch.setattr("subprocess.run", lambda command: subprocess.CompletedProcess(command, 1))
    with pytest.raises(ValueError, match=words):
        ablation(tmp_path / "nowhere", tmp_path, {"one": {}}, settings={"epochs": 2}).run()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": {}}, "has no rows"),
        ({"rows": {"Tanh gate": {}, "tanh, gate": {}}}, "The titles .* make fewer folders than rows"),
        ({"overlays": ["data/ddtj"]}, r"data/ddtj\.yaml does not exist"),
        ({"settings": {"epoch": 50}}, "There is no setting epoch. Did you mean epochs"),
        ({"rows": {"one": {"network_def::ff_parser": 3}}}, "network_def::ff_parser is 3; expected something like True"),
        ({"section": "test"}, "The section is 'test', expected one of training, validation, testing"),
    ],
)
def test_impossible_ablations_are_refused_before_anything_is_trained(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        ablation("data", tmp_path, **options)


def test_the_config_has_every_gate_with_and_without_the_filter_and_the_default_without_skips_and_gains(tmp_path):
    rows = yaml.safe_load(CONFIG.read_text())["rows"]
    names = [f"network_def::{name}" for name in ("dynamic_encoding", "ff_parser", "condition_skips", "mask_gain")]
    switches = {title: tuple(row.get(name, True) for name in names) for title, row in rows.items()}
    assert switches == {
        "sum only": ("none", False, True, True), "sum only, FF-Parser": ("none", True, True, True),
        "equation 3": ("exact", False, True, True), "equation 3, FF-Parser": ("exact", True, True, True),
        "tanh gate": ("tanh", False, True, True), "tanh gate, FF-Parser": ("tanh", True, True, True),
        "tanh gate, FF-Parser, no image in the skips": ("tanh", True, False, True),
        "tanh gate, FF-Parser, no gains": ("tanh", True, True, False),
    }  # fmt: skip
    assert ablation("data", tmp_path, rows).rows == rows


def test_medsegdiff_v2_has_the_five_rows_of_its_paper():
    root = BUNDLE.parent / "medsegdiff_v2" / "configs"
    rows = yaml.safe_load((root / "ablation.yaml").read_text())["rows"]
    default = yaml.safe_load((root / "train.yaml").read_text())["network_def"]
    default = {f"network_def::{name}": default[name] for name in ("anchor", "semantic", "nbp_filter")}
    switches = {title: tuple((default | row).values()) for title, row in rows.items()}
    assert switches == {
        "sum": ("none", "sum", True), "SA": ("sa", "sum", True), "U-SA": ("u_sa", "sum", True),
        "U-SA, SS-Former": ("u_sa", "ss_former", False), "U-SA, SS-Former, NBP-Filter": ("u_sa", "ss_former", True),
    }  # fmt: skip


def test_rows_have_names_that_files_can_have():
    assert file_name("tanh gate, FF-Parser") == "tanh_gate_ff_parser"
