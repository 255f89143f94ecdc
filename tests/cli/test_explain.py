"""`noise2mask explain`, run as a user runs it, on a tiny network."""

import csv

import pytest
import yaml

from ..bundles.runs import options
from ..conftest import BUNDLES

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("own_logging")]
FAST = ("--steps", "3", "--samples", "2", "--cases", "2")


def explain(commands, demo, trained, folder, what, *more):
    where = (demo, "--what", what, "-o", folder, "--weights", trained / "model.pt")
    return commands.command("explain", "pgdiffseg", *where, *more)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_attention_has_both_flows_before_and_after_psa_and_the_prior(commands, demo, trained, tmp_path):
    commands.run(explain(commands, demo, trained, tmp_path, "attention", *FAST))
    rows = table(tmp_path / "attention.csv")
    assert {row["grid"] for row in rows} >= {
        f"{flow}_{when}_psa" for flow in ("denoising", "condition") for when in ("before", "after")
    }
    assert len({row["case"] for row in rows}) == 2 and len({row["timestep"] for row in rows}) == 3
    assert len(table(tmp_path / "prior.csv")) == 2 and (tmp_path / "prior.png").is_file()


def test_sampling_has_a_strip_and_an_animation_of_each_case(commands, demo, trained, tmp_path):
    commands.run(explain(commands, demo, trained, tmp_path, "sampling", *FAST))
    assert len(list(tmp_path.glob("sampling_*.png"))) == len(list(tmp_path.glob("sampling_*.gif"))) == 2
    assert [row["dice_with_the_last"] for row in table(tmp_path / "sampling.csv")][2::3] == ["1.0", "1.0"]


def test_uncertainty_has_diagrams_with_labels_and_maps_alone_without(commands, demo, trained, tmp_path):
    commands.run(explain(commands, demo, trained, tmp_path / "a", "uncertainty", *FAST))
    assert {"reliability.png", "triage.png"} <= {path.name for path in (tmp_path / "a").iterdir()}
    commands.run(explain(commands, demo / "images", trained, tmp_path / "b", "uncertainty", *FAST))
    assert len(list((tmp_path / "b").glob("uncertainty_*.png"))) == 2 and not list((tmp_path / "b").glob("tri*"))


def test_checkpoints_are_compared_with_the_label(commands, demo, trained, tmp_path):
    commands.run(
        explain(commands, demo, trained, tmp_path, "compare", "--with", f"pgdiffseg={trained / 'model.pt'}", *FAST)
    )
    rows = table(tmp_path / "compare.csv")
    assert len(rows) == 4 and len(list(tmp_path.glob("compare_*.png"))) == 2
    assert {row["network"] for row in rows} == {"pgdiffseg", "pgdiffseg run"}
    for row in rows:
        hit, missed, false = (int(row[name]) for name in ("hit", "missed", "false"))
        total = 2 * hit + missed + false
        assert float(row["dice"]) == pytest.approx(2 * hit / total if total else 1)


def test_quality_against_steps_is_a_study_of_a_data_set(commands, demo, trained, tmp_path):
    study = {"study_steps": "[1,2]", "study_samples": "[1]", "study_starts": "[null]"}
    commands.run(explain(commands, demo, trained, tmp_path, "nfe", *options(study, "--set")))
    assert len(table(tmp_path / "settings_study.csv")) == 2 and (tmp_path / "settings_study.png").is_file()


def test_what_a_bundle_does_not_have_is_refused(commands, demo, trained, tmp_path):
    for what, more, said in (
        ("atention", (), "--what is 'atention', expected one of attention, sampling, compare, uncertainty, nfe"),
        ("probe", (), "pgdiffseg has no figure 'probe'"),
        ("compare", (), "There is nothing to compare with"),
        ("attention", ("--set", "grids::decoder=[up_unit.0]"), "PGDiffSeg has no layer 'up_unit.0'"),
        ("sampling", ("--set", "most_case=1"), "There is no setting most_case. Did you mean most_cases?"),
    ):
        refused = commands.start(explain(commands, demo, trained, tmp_path, what, *more))
        assert refused.wait() == 2 and said in refused.text.replace("\n", " ")


def test_every_bundle_that_segments_names_figures_that_it_has():
    for path in BUNDLES.glob("*/configs/explain.yaml"):
        content = yaml.safe_load(path.read_text())
        assert content["what"] in content["check_what"]["allowed"], path
