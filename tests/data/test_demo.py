"""The command writes a data set that is the same to the last byte."""

import pytest

from noise2mask.data.datalist import datalist
from noise2mask.data.demo import DEMOS, main


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("layout", ["folder", "busi"])
def test_the_command_writes_the_same_bytes_twice(tmp_path, layout):
    for name in ("a", "b", "a"):
        main(["--output", str(tmp_path / name), "--patients", "6", "--layout", layout])
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {len(datalist(tmp_path / "a", key, layout)) > 0 for key in ("training", "validation", "testing")} == {True}


def test_more_patients_do_not_change_the_first(tmp_path):
    for name, patients in (("few", 2), ("many", 4)):
        DEMOS["ultrasound"](tmp_path / name, patients, 3, "busi")
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    assert all(many[name] == data for name, data in few.items() if name.suffix == ".png") and len(many) > len(few)


def test_the_command_says_why_it_does_not_write(tmp_path, capsys):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path)])
    assert "is not empty" in capsys.readouterr().err


def test_the_command_says_what_it_wrote(tmp_path, capsys):
    main(["--output", str(tmp_path), "--patients", "1", "--seed", "5"])
    assert "ultrasound, 1 patients, layout folder" in capsys.readouterr().out
