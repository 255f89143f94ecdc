"""What the watch does with an archive that is asked by hand: look by look, without clocks and processes."""

import json

import pytest

from noise2mask.clinical.dicomweb import Found
from noise2mask.clinical.series import hashed
from noise2mask.clinical.watch import SERVED, Watch
from noise2mask.refusals import ServerError


class Archive:
    """Holds series by name; `ill` are those at whose list of objects it fails."""

    host = "there"

    def __init__(self, *names):
        self.names, self.ill, self.stored = list(names), set(), 0

    def series(self, **filters):
        return [Found("study", name, "US") for name in self.names]

    def instances(self, found):
        if found.series in self.ill:
            raise ServerError("there answered 500")
        return ["1", "2"]

    def fetch(self, found, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "p.dcm").write_text(found.series)
        return [folder / "p.dcm"]

    def store(self, objects):
        self.stored += 1


def segment(files, folder):
    """No objects, and the report of one case."""
    (folder / "report.json").write_text(json.dumps({"cases": [{"triage": 0.5}]}))
    return []


@pytest.fixture
def watch(tmp_path):
    """watch(archive, segment): on a folder that the test's watches share."""
    return lambda archive, segment=segment: Watch(archive, "US", 1, tmp_path / "out", segment)


def outcomes(folder):
    path = folder / "out" / SERVED
    lines = [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []
    return {line["series"]: line["outcome"] for line in lines}


def test_a_series_whose_objects_can_not_be_listed_does_not_hold_up_the_others(watch, tmp_path):
    archive = Archive("first", "second")
    archive.ill = {"first"}
    watching = watch(archive)
    for _ in range(3):
        watching.look()
    assert watching.failed == {hashed("first"): 3} and outcomes(tmp_path) == {hashed("second"): "stored"}
    archive.ill.clear()
    for _ in range(2):
        watching.look()
    assert set(outcomes(tmp_path)) == {hashed("first"), hashed("second")}
