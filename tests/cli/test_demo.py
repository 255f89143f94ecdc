"""The demonstration deletes nothing that it has not made."""

from pathlib import Path

import pytest

from noise2mask.cli import demo


def test_a_folder_with_somebody_s_images_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(demo, "_steps", lambda *_: pytest.fail("its steps delete images/"))
    (tmp_path / "images").mkdir()
    with pytest.raises(SystemExit) as left:
        demo.main(["--output", str(tmp_path)])
    assert left.value.code == 2 and "is not empty (it holds images)" in capsys.readouterr().err
    assert (tmp_path / "images").is_dir()


def test_an_earlier_demonstration_may_be_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(demo, "_steps", lambda output, *_: (output / "images").mkdir(exist_ok=True) or 1.0)
    for _ in range(2):
        demo.main(["--output", str(tmp_path / "new")])
