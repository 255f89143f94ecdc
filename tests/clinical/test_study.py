"""A study from fetching to storing, with an archive that fails, or changes between two tries."""

import errno

import numpy as np
import pytest

from noise2mask.clinical.dicomweb import Found
from noise2mask.clinical.series import hashed
from noise2mask.clinical.study import serve_series, serve_study
from noise2mask.files import load_plain
from noise2mask.refusals import ServerError

from .scanner import ultrasound

FOUND = Found("1.2.3", "1.2.4", "US")


class Archive:
    """Holds one object per name in `there`; it fails at the series `ill`."""

    there, ill = ("a", "b"), ""

    def __init__(self):
        self.stored = []  # how many objects, request by request

    def series(self, **filters):
        return [Found("1.2.3", "1.2.4", "US"), Found("1.2.3", "1.2.5", "US")]

    def fetch(self, found, folder):
        if found.series == self.ill:
            raise ServerError("there answered 500.")
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.dcm" for name in self.there]
        for path in paths:
            path.touch()
        return paths

    def store(self, objects):
        self.stored.append(len(objects))


def made(folder, *names):
    """Objects as segmentation writes them."""
    for name in names:
        ultrasound(folder / f"{name}.dcm", np.zeros((4, 4), np.uint8))
    return [folder / f"{name}.dcm" for name in names]


def test_what_was_refused_before_the_archive_failed_is_told(tmp_path, caplog):
    archive = Archive()
    archive.ill = "1.2.5"
    with pytest.raises(ServerError):
        serve_study(archive, "1.2.3", None, tmp_path, lambda files, folder: load_plain(files / "none.pt"))
    assert f"left out: series {hashed('1.2.4')}: " in caplog.text and "none.pt does not exist" in caplog.text


def test_what_was_deleted_from_the_archive_since_the_last_try_is_not_segmented(tmp_path):
    archive, seen = Archive(), []

    def segment(files, folder):
        seen.append(sorted(path.name for path in files.iterdir()))
        if len(seen) == 1:
            raise ServerError("there answered 500.")
        return made(folder, "a_mask")

    with pytest.raises(ServerError):
        serve_series(archive, FOUND, tmp_path, segment)
    archive.there = ("b",)
    serve_series(archive, FOUND, tmp_path, segment)
    assert seen == [["a.dcm", "b.dcm"], ["b.dcm"]] and archive.stored == [1]


def test_a_series_at_which_something_breaks_does_not_hold_up_the_others_and_is_not_quoted(tmp_path, caplog):
    archive, patient = Archive(), "Doe^Jane"

    def segment(files, folder):
        if folder.name == hashed("1.2.4"):
            raise KeyError(patient)
        return made(folder, "a_mask")

    with pytest.raises(
        ValueError, match=rf"1 of 2 series were left out.\nseries {hashed('1.2.4')}: KeyError"
    ) as raised:
        serve_study(archive, "1.2.3", None, tmp_path, segment)
    assert archive.stored == [1] and "in segment" in str(raised.value)
    assert patient not in str(raised.value) + caplog.text


def test_objects_are_stored_case_by_case(tmp_path):
    archive = Archive()
    names = ("x_1_mask", "x_1_preview", "x_2_preview")
    serve_series(archive, FOUND, tmp_path, lambda files, folder: made(folder, *names))
    assert archive.stored == [2, 1]


def test_a_full_disk_ends_a_study(tmp_path):
    archive = Archive()

    def segment(files, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        serve_study(archive, "1.2.3", None, tmp_path, segment)
    assert archive.stored == []
