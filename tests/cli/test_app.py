"""The command `noise2mask`, run as a user runs it: train, evaluate, segment, refuse."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from noise2mask.bundles import all_bundles
from noise2mask.cli.app import main
from noise2mask.data.datalist import datalist

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("own_logging")]
TINY = ("--set", "network_def::base=8", "--set", "network_def::multipliers=[1,2]", "--set", "image_size=[16,16]")
SHORT = ("--set", "prior_epochs=1", "--set", "epochs=1", "--set", "val_interval=1", "--set", "batch_size=4")


def command(*arguments):
    return ["-m", "noise2mask.cli.app", *map(str, arguments)]


@pytest.fixture(scope="module")
def trained(commands, demo, tmp_path_factory):
    """Weights of a training by command, with other grey values than the default."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    commands.real(
        command("train", "pgdiffseg", "--data", demo, "-o", folder, *TINY, *SHORT, "--set", "intensity_range=[10,200]")
    )
    return folder


def test_listing_imports_nothing_heavy(tmp_path):
    script = """if True:
        import sys
        from noise2mask.cli.app import main
        sys.argv = ["noise2mask", "list"]
        try:
            main()
        finally:
            assert not {"torch", "monai", "numpy"} & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert all(word in done.stdout for word in ("pgdiffseg", "medsegdiff", "binary", "US", "lesion", "nodule"))
    assert "research" in done.stdout  # what weights of unclear terms are for
    assert "fundus: disc, cup" in " ".join(done.stdout.replace("│", " ").split())  # of weights for other images


def test_weights_come_with_what_inference_must_repeat(trained):
    settings = yaml.safe_load((trained / "model.yaml").read_text())
    assert settings["image_size"] == [16, 16] and settings["intensity_range"] == [10, 200]
    assert settings["network_def"]["multipliers"] == [1, 2] and settings["mask_scale"] == 0.3


def test_segmenting_takes_the_trainings_settings_and_shows_the_most_uncertain_first(commands, trained, demo, tmp_path):
    (tmp_path / "in").mkdir()
    for path in sorted((demo / "images").iterdir())[:3]:
        shutil.copy(path, tmp_path / "in")
    options = ("--weights", trained / "model.pt", "--steps", 3, "--samples", 2, "--seed", 5)
    text = commands.run(command("segment", "pgdiffseg", tmp_path / "in", "-o", tmp_path / "out", *options))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["config"]["intensity_range::0"] == "10" and report["config"]["image_size::0"] == "16"
    sampling = report["sampling"]
    assert (len(sampling["timesteps"]), sampling["samples"], sampling["seed"]) == (3, 2, 5)
    shown = [text.rindex(case["image"].rsplit("/", 1)[1]) for case in report["cases"]]
    assert shown == sorted(shown) and len(shown) == 3
    for path in (tmp_path / "in").iterdir():
        assert Image.open(tmp_path / "out" / f"{path.stem}_mask.png").size == Image.open(path).size


@pytest.mark.distributed
def test_torchrun_starts_again_when_a_process_dies_and_no_case_is_done_twice(trained, demo, tmp_path):
    options = ("--weights", trained / "model.pt", "--steps", 20, "--samples", 2)
    arguments = command("segment", "pgdiffseg", demo / "images", "-o", tmp_path / "out", *options)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max-restarts=2"]
    log = tmp_path / "log.txt"

    def said():
        return log.read_text(encoding="utf-8", errors="replace")

    with open(log, "wb") as file:
        process = subprocess.Popen([sys.executable, *torchrun, *arguments], stdout=file, stderr=subprocess.STDOUT)
    try:
        while "written:" not in said():
            assert process.poll() is None, said()[-3000:]
            time.sleep(0.02)
        os.kill(int(children(process.pid)[-1]), signal.SIGKILL)
        assert process.wait(240) == 0, said()[-3000:]
    finally:
        process.kill()
    text = said()
    count = len(list((demo / "images").iterdir()))
    cases = json.loads((tmp_path / "out" / "report.json").read_text())["cases"]
    assert text.count("look at the first ones first") == 1 and len(cases) == count
    assert max(text.count(f"{case['files'][0].removesuffix('_mask.png')}.json  triage") for case in cases) == 1
    assert 0 < json.loads((tmp_path / "out" / "report.json").read_text())["finished_earlier"] < count


def children(parent):
    """Process numbers of those that a process has started."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert len(found) == 2
    return found


def test_evaluating_scores_the_section_that_is_asked_for(commands, trained, demo, tmp_path):
    options = ("--weights", trained / "model.pt", "--section", "validation", "--set", "samples=1", "--set", "steps=1")
    commands.run(command("evaluate", "pgdiffseg", "--data", demo, "-o", tmp_path, *options))
    assert json.loads((tmp_path / "scores.json").read_text())["counts"]["images"] == 2


def test_packing_gives_a_zip_with_the_trainings_settings(trained, tmp_path, monkeypatch, capsys):
    weights = str(trained / "model.pt")
    monkeypatch.setattr("sys.argv", ["noise2mask", "package", "pgdiffseg", "-o", str(tmp_path), "--weights", weights])
    with pytest.raises(SystemExit) as left:
        main()
    (path,) = tmp_path.iterdir()
    assert not left.value.code and str(path) in capsys.readouterr().out
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("pgdiffseg/configs/inference.json"))
    assert config["image_size"] == [16, 16] and config["intensity_range"] == [10, 200]


@pytest.mark.parametrize("bundle", [bundle.name for bundle in all_bundles()])
def test_the_model_card_is_shown(bundle, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["noise2mask", "model-card", bundle])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert "Intended use" in said and "Not a medical device" in said and "#" not in said.splitlines()[0]


# Checking data


def checking(data, output, monkeypatch, capsys, *options):
    """Exit code, and what `noise2mask check` says, its table's lines joined."""
    monkeypatch.setattr("sys.argv", ["noise2mask", "check", str(data), "-o", str(output), *options])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code, capsys.readouterr().out


def test_a_checked_folder_has_numbers_overlays_and_a_split_that_trains(demo, tmp_path, monkeypatch, capsys):
    code, said = checking(demo, tmp_path / "check", monkeypatch, capsys)
    assert not code and "training 19, validation 2, testing 3" in said
    assert {path.name for path in (tmp_path / "check").iterdir()} == {
        "fingerprint.json", "datalist.json", "overlays.png", "problems.txt"
    }  # fmt: skip
    assert Image.open(tmp_path / "check" / "overlays.png").size[0] > 500
    assert len(datalist(tmp_path / "check" / "datalist.json", "training")) == 19


def test_checking_again_keeps_an_edited_split_beside_the_new_one_and_says_so(demo, tmp_path, monkeypatch, capsys):
    checking(demo, tmp_path, monkeypatch, capsys)
    edited = json.loads((tmp_path / "datalist.json").read_text())
    edited["training"].pop()
    (tmp_path / "datalist.json").write_text(json.dumps(edited))
    code, said = checking(demo, tmp_path, monkeypatch, capsys)
    assert not code and "datalist_previous.json" in said.replace("\n", "")
    assert json.loads((tmp_path / "datalist_previous.json").read_text()) == edited
    assert len(datalist(tmp_path / "datalist.json", "training")) == 19


def test_problems_of_files_and_of_the_layout_are_all_told_and_nothing_is_split(demo, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(demo, tmp_path / "data")
    first, second, third = sorted((data / "images").iterdir())[:3]
    first.write_bytes(b"")
    Image.fromarray(np.asarray(Image.open(second))[:-3]).save(second)
    code, _ = checking(data, tmp_path / "files", monkeypatch, capsys)
    told = (tmp_path / "files" / "problems.txt").read_text()
    assert code == 2 and told.count("problem: ") == 2 and f"{first} can not be read" in told and "has size" in told
    third.unlink()
    code, said = checking(data, tmp_path / "layout", monkeypatch, capsys)
    told = (tmp_path / "layout" / "problems.txt").read_text()
    assert code == 2 and told.count("problem: ") == 3 and f"{first} can not be read" in told and "has size" in told
    assert "has no image in images/: add the image, or remove the mask." in told and "add the image" in said
    assert (tmp_path / "layout" / "fingerprint.json").is_file()
    assert not any((tmp_path / name / "datalist.json").exists() for name in ("files", "layout"))


def test_pictures_in_colour_are_checked_and_drawn_in_colour(tmp_path, monkeypatch, capsys):
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for n in range(4):
        picture = np.random.default_rng(n).integers(0, 200, (20, 30, 3)).astype(np.uint8)
        picture[2:9, 3:12] = (255, 0, 0)
        mask = np.zeros((20, 30), np.uint8)
        mask[2:9, 3:12] = 255
        Image.fromarray(picture).save(tmp_path / "data" / "images" / f"{n}.png")
        Image.fromarray(mask).save(tmp_path / "data" / "masks" / f"{n}.png")
    code, _ = checking(tmp_path / "data", tmp_path / "check", monkeypatch, capsys)
    drawn = np.asarray(Image.open(tmp_path / "check" / "overlays.png").convert("RGB")).reshape(-1, 3)
    assert not code and (drawn == (255, 0, 0)).all(axis=1).sum() > 100
    code, _ = checking(tmp_path / "data", tmp_path / "cup", monkeypatch, capsys, "--foreground", "2")
    assert code == 2 and "values 0, 255; expected 0, 2" in (tmp_path / "cup" / "problems.txt").read_text()
    values = ("--foreground", "255", "--background", "0,128")
    assert not checking(tmp_path / "data", tmp_path / "disc", monkeypatch, capsys, *values)[0]
    code, _ = checking(tmp_path / "data", tmp_path / "word", monkeypatch, capsys, "--foreground", "cup")
    assert code == 2


def test_cases_of_several_modalities_are_checked_and_one_that_is_missing_is_told(tmp_path, monkeypatch, capsys):
    for n in range(5):
        case = tmp_path / "data" / f"BraTS2021_{n:05d}"
        case.mkdir(parents=True)
        for kind in ("t1", "t1ce", "t2", "flair", "seg"):
            values = np.array([0, 0, 0, 0, 1, 2, 4, 4]) if kind == "seg" else np.arange(8) * len(kind)
            image = nib.Nifti1Image(values.astype(np.uint8).reshape(2, 2, 2), np.eye(4))
            nib.save(image, case / f"{case.name}_{kind}.nii.gz")
    code, said = checking(tmp_path / "data", tmp_path / "check", monkeypatch, capsys)
    assert not code and "split by patient" in said
    assert len(datalist(tmp_path / "check" / "datalist.json", "testing")[0]["image"]) == 4
    (case / f"{case.name}_t2.nii.gz").unlink()
    code, _ = checking(tmp_path / "data", tmp_path / "again", monkeypatch, capsys)
    told = (tmp_path / "again" / "problems.txt").read_text()
    assert code == 2 and told.count("problem: ") == 1 and "BraTS2021_00004_t2.nii.gz is missing" in told


# Refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "pgdifseg", "--data", "."), "Did you mean pgdiffseg?"),
        (("train", "pgdiffseg", "--data", "nowhere"), "nowhere does not exist"),
        (("train", "pgdiffseg", "--data", ".", "--set", "epoch=3"), "Did you mean epochs?"),
        (("train", "pgdiffseg", "--data", ".", "--preset", "papers"), "expected one of: "),
        (("train", "pgdiffseg", "--data", "."), "expected images/ and one of masks/ and labels/"),
        (("evaluate", "pgdiffseg", "--data", ".", "--weights", "no.pt"), "no.pt does not exist, expected weights"),
        (("segment", "pgdiffseg", "x.png"), "--output"),
        (
            # said before the archive, which is not there, is asked
            ("segment", "pgdiffseg", "-o", "o", "--dicomweb", "http://[::1]:9", "--study", "1.2", "--weights", "no.pt"),
            "no.pt does not exist, expected weights",
        ),
        (("segment", "pgdiffseg", "-o", "out"), "either INPUT, or --dicomweb with --study"),
        (("segment", "pgdiffseg", "-o", "out", "--dicomweb", "http://a/b"), "either INPUT, or --dicomweb with --study"),
        (
            ("segment", "pgdiffseg", "some.pt", "-o", "out", "--modality", "US"),
            "--modality is of the series of a study",
        ),
        (
            ("segment", "pgdiffseg", "-o", "o", "--dicomweb", "http://[::1]:9", "--study", "1.2", "--tile-size", "64"),
            "--tile-size is of whole slides",
        ),
        (("check", ".", "--background", "0"), "--background is of masks of several classes: give --foreground"),
        (
            ("explain", "diffusiondci_generation", ".", "--what", "sampling", "--layout", "busi"),
            "--layout has no effect on sampling of diffusiondci_generation: leave it out",
        ),
        (
            ("explain", "pgdiffseg", ".", "--what", "nfe", "--steps", "5"),
            "--steps has no effect on nfe of pgdiffseg: give --set study_steps=[...]",
        ),
        (("watch", "pgdiffseg", "-o", "out", "--dicomweb", "http://a/b"), "--modality"),
        (
            ("segment", "pgdiffseg", "x.png", "-o", "out", "--weights", "some.pt", "--steps", "0"),
            "x.png does not exist",
        ),
    ],
)
def test_refusals_are_one_line_and_exit_with_2(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.pt").write_bytes(b"")
    monkeypatch.setattr("sys.argv", ["noise2mask", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    error = capsys.readouterr().err
    assert left.value.code == 2 and words in error and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir() if path.name != "some.pt"] in ([], ["runs"])


def test_too_little_memory_is_one_line_that_names_what_to_lower(monkeypatch, capsys):
    def greedy():
        raise RuntimeError("applying transform") from torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.")

    monkeypatch.setattr("noise2mask.cli.app.app", greedy)
    with pytest.raises(SystemExit) as left:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert left.value.code == 1 and line.startswith("error: there is not enough memory (CUDA out of memory.")
    assert all(name in line for name in ("images_at_once", "inferer::chunk_size", "batch_size", "accumulation_steps"))


def test_what_breaks_shows_where_and_exits_with_1(commands, trained, demo, tmp_path):
    image = next((demo / "images").iterdir())
    options = ("--weights", trained / "model.pt", "--set", "device=$1 / 0")
    error = commands.fails(command("segment", "pgdiffseg", image, "-o", tmp_path / "out", *options))
    assert "ZeroDivisionError" in error and "Traceback" in error
