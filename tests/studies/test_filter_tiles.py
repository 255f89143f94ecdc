"""Exactly the tiles that agree most are kept, as a folder of the same form, there whole or not at all."""

import csv
import json
from pathlib import Path

import pytest

from noise2mask.data.datalist import load_whole
from noise2mask.data.splits import KEYS
from noise2mask.digest import sha256
from noise2mask.studies.filter_tiles import chosen, filter_tiles, main

from .tile_files import cases_csv, tile_folder

IOUS = [0.5, 0.9, 0.1, 0.7, 0.7, 0.3]  # of the tiles t00 to t05


def made(tmp_path):
    """Six tiles of classes 1 and 2, and their cases.csv."""
    folder = tile_folder(tmp_path / "generated", [1, 1, 2, 1, 2, 2], mask=list("uvwxyz"))
    counts = {f"t{i:02}": {"a": (round(10 * iou), 10 - round(10 * iou), 0)} for i, iou in enumerate(IOUS)}
    return folder, cases_csv(tmp_path / "cases.csv", folder, counts)


def raising(error):
    def stop(*arguments):
        raise error

    return stop


def stems(folder, kind="images"):
    return sorted(path.stem for path in (folder / kind).iterdir())


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_best_tiles_are_kept_and_of_equal_ones_the_first_by_name():
    agreement = {"t10": 0.5, "t9": 0.5, "t1": 0.2, "t2": 0.8}
    assert chosen(agreement, keep=2) == ["t2", "t9"]
    assert chosen(dict(reversed(agreement.items())), keep=3) == ["t2", "t9", "t10"]
    assert chosen(agreement, least=0.5) == ["t2", "t9", "t10"]


@pytest.mark.parametrize(("keep", "least"), [(0, None), (5, None), (None, 0.9), (1, 0.5), (None, None)])
def test_a_choice_that_can_not_be_made_is_refused(keep, least):
    with pytest.raises(ValueError, match="expected"):
        chosen({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, keep, least)


def test_exactly_the_top_tiles_are_written_in_the_same_form(tmp_path):
    folder, cases = made(tmp_path)
    filter_tiles(folder, [cases], tmp_path / "kept", keep=3)
    assert stems(tmp_path / "kept") == stems(tmp_path / "kept", "masks") == ["t01", "t03", "t04"]
    rows = list(csv.DictReader((tmp_path / "kept/manifest.csv").read_text().splitlines()))
    assert [(row["image"], row["patient"], row["mask"], float(row["agreement"])) for row in rows] == [
        ("t01", "p1", "v", 0.9),
        ("t03", "p3", "x", 0.7),
        ("t04", "p4", "y", 0.7),
    ]
    for path, content in contents(tmp_path / "kept").items():
        assert path.suffix != ".png" or content == (folder / path).read_bytes()


def test_the_datalist_keeps_sections_and_patients(tmp_path):
    folder, cases = made(tmp_path)
    before = load_whole(folder / "datalist.json")
    filter_tiles(folder, [cases], tmp_path / "kept", keep=3)
    after = load_whole(tmp_path / "kept/datalist.json")
    assert after["group_by"] == before["group_by"]
    for key in KEYS:
        own = [item for item in before[key] if Path(item["image"]).stem in ("t01", "t03", "t04")]
        moved = [{k: v.replace("generated", "kept") for k, v in item.items()} for item in own]
        assert after[key] == moved and all(Path(item["label"]).is_file() for item in moved)


def test_filter_json_says_what_was_done_and_how_classes_shift(tmp_path):
    folder, cases = made(tmp_path)
    report = filter_tiles(folder, [cases], tmp_path / "kept", keep=2)
    assert report == json.loads((tmp_path / "kept/filter.json").read_text())
    assert (report["tiles"], report["kept"], report["keep"], report["least"]) == (6, 2, 2, None)
    assert (report["lowest_kept"], report["highest_left_out"]) == (0.7, 0.7)
    assert report["left_out_with_the_agreement_of_the_lowest_kept"] == 1
    assert report["agreement"]["before"]["median"] == pytest.approx(0.6)
    assert report["agreement"]["after"]["minimum"] == 0.7 and report["agreement"]["after"]["maximum"] == 0.9
    assert report["classes"]["before"]["2"] == {"tiles": 3, "dominant": 3, "share_of_pixels": 7 / 16}
    assert report["classes"]["after"] == {
        "0": {"tiles": 2, "dominant": 0, "share_of_pixels": 1 / 8},
        "1": {"tiles": 2, "dominant": 2, "share_of_pixels": 7 / 8},
    }
    assert report["made_from"]["cases.csv"] == [sha256(cases)]


def test_the_same_command_again_does_nothing_and_another_one_is_refused(tmp_path):
    folder, cases = made(tmp_path)
    filter_tiles(folder, [cases], tmp_path / "kept", keep=2)
    before = contents(tmp_path / "kept")
    filter_tiles(folder, [cases], tmp_path / "kept", keep=2)
    with pytest.raises(ValueError, match="kept holds another choice of tiles"):
        filter_tiles(folder, [cases], tmp_path / "kept", keep=3)
    with pytest.raises(ValueError, match="generated holds another choice of tiles, or other files"):
        filter_tiles(folder, [cases], folder, keep=3)
    assert contents(tmp_path / "kept") == before


def test_an_interrupted_run_leaves_no_folder_and_the_next_gives_the_same(tmp_path, monkeypatch):
    folder, cases = made(tmp_path)
    filter_tiles(folder, [cases], tmp_path / "whole", least=0.5)
    (tmp_path / ".kept.part/images").mkdir(parents=True)  # of a run that was killed
    (tmp_path / ".kept.part/images/t00.png").touch()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("shutil.copyfile", raising(KeyboardInterrupt))
        filter_tiles(folder, [cases], tmp_path / "kept", least=0.5)
    assert not (tmp_path / "kept").exists()
    filter_tiles(folder, [cases], tmp_path / "kept", least=0.5)
    assert contents(tmp_path / "kept") == contents(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"generated", "cases.csv", "whole", "kept"}


def test_the_command_shows_classes_before_and_after(tmp_path, capsys):
    folder, cases = made(tmp_path)
    main([str(folder), "--cases", str(cases), "--keep", "2", "--output", str(tmp_path / "kept")])
    shown = capsys.readouterr().out
    assert "kept 2 of 6, agreement 0.700 or more" in shown
    assert "| 2 | 3 | 0 | 3 | 0 | 0.438 | 0.000 |" in shown and "shifts the balance of classes" in shown


def test_bad_input_ends_the_command_with_a_message(tmp_path, capsys):
    folder, _ = made(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main([str(folder), "--cases", "none.csv", "--keep", "2", "--output", str(tmp_path / "kept")])
    assert "error: none.csv does not exist" in capsys.readouterr().err


def test_files_that_do_not_fit_together_are_named(tmp_path):
    folder, cases = made(tmp_path)
    content = json.loads((folder / "datalist.json").read_text())
    key = next(key for key in KEYS if content[key])
    lost = Path(content[key].pop()["image"]).stem
    (folder / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"images/{lost}\.png is not in datalist\.json"):
        filter_tiles(folder, [cases], tmp_path / "kept", keep=2)
    (folder / "manifest.csv").unlink()
    with pytest.raises(ValueError, match="has no manifest.csv"):
        filter_tiles(folder, [cases], tmp_path / "kept", keep=2)
    (folder / "masks" / "t00.png").unlink()
    with pytest.raises(ValueError, match=r"images/t00\.png has no mask"):
        filter_tiles(folder, [cases], tmp_path / "kept", keep=2)
    assert not (tmp_path / "kept").exists()
