"""`noise2mask explain`, run as a user runs it, on a tiny network."""

import csv

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

from noise2mask.cli.explain import FIGURES

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
        assert (row["steps"], row["samples"]) == ("3", "2")  # of all networks, as the command asks
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
        ("sampling", ("--with", "medsegdiff"), "--with has no effect on sampling of pgdiffseg: leave it out"),
        ("nfe", ("--cases", "2"), "--cases has no effect on nfe of pgdiffseg: leave it out"),
        ("attention", ("--references", "x"), "--references has no effect on attention of pgdiffseg"),
        (
            "attention",
            ("--set", "score=logit_sum"),
            "this network answers with masks: expected eps_sum or x0_foreground",
        ),
        ("uncertainty", ("--set", "most_steps=0"), "0 steps are to be shown, expected 1 or more"),
    ):
        refused = commands.start(explain(commands, demo, trained, tmp_path, what, *more))
        assert refused.wait() == 2 and said in refused.text.replace("\n", " ")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Two volumes of four slices with both parts of a hippocampus, as a plain folder."""
    folder, random = tmp_path_factory.mktemp("volumes"), np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for name in "ab":
        label = np.zeros((24, 20, 4), np.uint8)
        label[5:12, 5:15, 1:3], label[12:18, 6:14, 1:] = 1, 2
        image = 50 * label + random.normal(100, 9, label.shape)
        for part, values in (("images", image.astype(np.float32)), ("labels", label)):
            nib.save(nib.Nifti1Image(values, np.diag([1, 1, 3, 1])), folder / part / f"{name}.nii.gz")
    return folder


@pytest.mark.parametrize("what", ["attention", "sampling", "uncertainty", "compare"])
def test_volumes_of_several_structures_have_every_figure(commands, volumes, tmp_path, what):
    more = ("--with", "medsegdiff_v2") if what == "compare" else ()
    arguments = (
        "explain",
        "medsegdiff_v2",
        volumes,
        "--section",
        "training",
        "--what",
        what,
        "-o",
        tmp_path,
        *FAST,
        *more,
    )
    commands.run(commands.command(*arguments))
    rows = table(tmp_path / f"{what}.csv")
    assert rows and {row["case"] for row in rows} <= {"a", "b"} and list(tmp_path.glob(f"{what}_*.png"))
    if what == "compare":  # a network beside itself
        assert {(row["dice"], row["dice_anterior"]) for row in rows[:2]} == {
            (rows[0]["dice"], rows[0]["dice_anterior"])
        }
    if what == "attention":
        assert {"anchor.png", "nbp_filter.csv"} <= {path.name for path in tmp_path.iterdir()}


def test_tiles_of_tissue_show_where_the_decoder_looks(commands, tmp_path):
    (tmp_path / "tiles").mkdir()
    tile = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(tile).save(tmp_path / "tiles" / "a.png")
    where = (tmp_path / "tiles", "-o", tmp_path / "out", "--samples", "2")
    commands.run(commands.command("explain", "diffusiondci_segmentation", *where, "--what", "attention"))
    rows = table(tmp_path / "out" / "attention.csv")
    assert {row["timestep"] for row in rows} == {"200"} and len({row["layer"] for row in rows}) > 6
    commands.run(commands.command("explain", "diffusiondci_segmentation", *where, "--what", "uncertainty"))
    assert len(table(tmp_path / "out" / "uncertainty.csv")) == 1


def test_an_evaluation_is_not_overwritten_by_its_figures(commands, demo, trained, tmp_path):
    where = ("--weights", trained / "model.pt", "-o", tmp_path)
    commands.run(commands.command("evaluate", "pgdiffseg", "--data", demo, *where))
    before = (tmp_path / "scores.json").read_bytes()
    commands.run(explain(commands, demo, trained, tmp_path, "uncertainty", "--cases", "1"))
    assert (tmp_path / "scores.json").read_bytes() == before


def test_figures_are_made_by_one_process(commands, demo, trained, tmp_path):
    process = commands.start(explain(commands, demo, trained, tmp_path, "sampling"), WORLD_SIZE="2", RANK="0")
    assert process.wait() == 2 and "Figures are made by one process" in process.text


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("*/configs/explain.yaml")), ids=lambda path: path.parts[-3])
def test_every_figure_of_a_config_is_one_of_the_command(path):
    content = yaml.safe_load(path.read_text())
    assert set(content["check_what"]["allowed"]) <= set(FIGURES) and content["what"] in content["check_what"]["allowed"]
