"""What a zip may hold, and what it may not."""

import zipfile

import pytest

from noise2mask import zips
from noise2mask.clinical import unpack as module
from noise2mask.clinical.unpack import unpack


def make(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_files_come_out_whole_under_numbers(tmp_path):
    path = make(tmp_path / "a.zip", **{"Doe^Jane/1.dcm": b"one", "Doe^Jane/2.dcm": b"two"})
    files = unpack(path, tmp_path / "work")
    assert [(file.name, file.read_bytes()) for file in files] == [("00000", b"one"), ("00001", b"two")]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:/evil"])
def test_paths_that_lead_outside_are_refused_and_nothing_is_written(tmp_path, name):
    path = make(tmp_path / "a.zip", **{"good": b"1", name: b"2"})
    with pytest.raises(ValueError, match="leads outside"):
        unpack(path, tmp_path / "deep" / "work")
    assert not any("evil" in file.name for file in tmp_path.rglob("*")) and not any((tmp_path / "deep/work").iterdir())


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="holds a link"):
        unpack(tmp_path / "a.zip", tmp_path / "work")


def test_a_bomb_is_stopped(tmp_path, monkeypatch):
    path = make(tmp_path / "a.zip", one=b"0" * 5_000_000, two=b"0" * 5_000_000)
    monkeypatch.setattr(zips, "MOST_BYTES", 6_000_000)
    with pytest.raises(ValueError, match="unpacks to more than 6000000 bytes"):
        unpack(path, tmp_path / "work")
    monkeypatch.setattr(module, "MOST_FILES", 1)
    with pytest.raises(ValueError, match="holds 2 files, expected at most 1"):
        unpack(path, tmp_path / "work")


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_a_damaged_zip_is_named(tmp_path, keep):
    path = make(tmp_path / "a.zip", one=bytes(range(256)) * 40)
    path.write_bytes(path.read_bytes()[:keep] if keep else b"no zip")
    with pytest.raises(ValueError, match=r"a.zip can not be unpacked"):
        unpack(path, tmp_path / "work")


def test_a_damaged_member_is_named(tmp_path):
    path = make(tmp_path / "a.zip", a=bytes(range(256)) * 400)
    content = bytearray(path.read_bytes())
    content[31:60] = b"\xff" * 29  # behind the local header: the deflated bytes
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip can not be unpacked"):
        unpack(path, tmp_path / "work")


def test_a_member_without_a_name_is_no_crash(tmp_path):
    path = make(tmp_path / "a.zip", **{".": b"1"})
    assert [file.read_bytes() for file in unpack(path, tmp_path / "work")] == [b"1"]
