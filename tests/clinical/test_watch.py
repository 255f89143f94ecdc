"""What the watch does with an archive that is asked by hand: look by look, without clocks and processes."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from noise2mask.clinical.dicomweb import Found
from noise2mask.clinical.series import hashed
from noise2mask.clinical.watch import SERVED, WORKING, Watch
from noise2mask.files import load_plain
from noise2mask.refusals import ServerError


class Archive:
    """Holds series by name; `ill` are those at whose list of objects it fails."""

    host, count = "there", 2

    def __init__(self, *names):
        self.names, self.ill, self.stored = list(names), set(), 0

    def series(self, **filters):
        return [Found("study", name, "US", self.count) for name in self.names]

    def instances(self, found):
        if found.series in self.ill:
            raise ServerError("there answered 500")
        return list(map(str, range(self.count)))

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
    """watch(archive, segment, check): on a folder that the test's watches share."""

    def make(archive, segment=segment, check=lambda: None):
        return Watch(archive, "US", 1, tmp_path / "out", segment, check)

    return make


def look(watching, times):
    for _ in range(times):
        watching.look()


def outcomes(folder):
    path = folder / "out" / SERVED
    lines = [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []
    return {line["series"]: line["outcome"] for line in lines}


@pytest.mark.parametrize("outcome", ["stored", "left out: There are 2 series, expected one."])
def test_a_series_that_has_grown_is_served_again_also_after_a_restart(outcome, watch, tmp_path):
    archive, seen = Archive("one"), []

    def counted(files, folder):
        seen.append(archive.count)
        return segment(files, folder)

    watching = watch(archive, counted)
    watching._finish(Found("study", "one", "US", 2), outcome)
    look(watching, 3)
    archive.count = 3
    look(watching, 3)
    assert seen == [3]  # at the second look: at the first it may still grow
    archive.count = 5
    look(watch(archive, counted), 3)
    assert seen == [3, 5] and outcomes(tmp_path) == {hashed("one"): "stored"}


def test_an_archive_that_does_not_count_serves_a_series_once(watch):
    archive, seen = Archive("one"), []
    watching = watch(archive, lambda files, folder: seen.append(1) or segment(files, folder))
    look(watching, 2)
    archive.series = lambda **filters: [Found("study", "one", "US")]
    archive.count = 9
    look(watching, 3)
    assert seen == [1]


def test_a_series_whose_objects_can_not_be_listed_does_not_hold_up_the_others(watch, tmp_path):
    archive = Archive("first", "second")
    archive.ill = {"first"}
    watching = watch(archive)
    look(watching, 3)
    assert watching.failed == {hashed("first"): 3} and outcomes(tmp_path) == {hashed("second"): "stored"}
    archive.ill.clear()
    look(watching, 2)
    assert set(outcomes(tmp_path)) == {hashed("first"), hashed("second")}


def test_a_series_that_grows_is_waited_for(watch, tmp_path, monkeypatch):
    archive, sent = Archive("one"), ["1"]
    monkeypatch.setattr(archive, "instances", lambda found: list(sent))
    watching = watch(archive)
    for number in range(3):
        watching.look()
        sent.append(str(number))
    assert outcomes(tmp_path) == {}
    look(watching, 2)
    assert outcomes(tmp_path) == {hashed("one"): "stored"}


def test_weights_that_are_away_are_waited_for_and_no_series_is_left_out(watch, tmp_path, caplog):
    weights = tmp_path / "model.pt"

    def with_weights(files, folder):
        load_plain(weights)

    watching = watch(Archive("one", "two"), with_weights, lambda: load_plain(weights))
    look(watching, 8)
    assert outcomes(tmp_path) == {} and "model.pt does not exist" in caplog.text
    assert watching.failed == {hashed("one"): 4, hashed("two"): 3}
    look(watch(Archive("one", "two")), 2)
    assert set(outcomes(tmp_path).values()) == {"stored"} and len(outcomes(tmp_path)) == 2


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: lost")])
def test_a_gpu_that_fails_at_a_series_is_waited_for(watch, tmp_path, caplog, error):
    def without_gpu(files, folder):
        raise RuntimeError("applying transform") from error  # as MONAI wraps it

    watching = watch(Archive("one"), without_gpu)
    look(watching, 6)
    assert outcomes(tmp_path) == {} and f"{error}: trying again at the next look" in caplog.text
    look(watch(Archive("one")), 2)
    assert outcomes(tmp_path) == {hashed("one"): "stored"}


def test_an_installation_that_fails_in_whatever_way_is_waited_for(watch, tmp_path, caplog):
    def broken(*_):
        raise RuntimeError("No CUDA GPUs are available\nmore")

    look(watch(Archive("one"), broken, broken), 6)
    assert outcomes(tmp_path) == {} and "RuntimeError: No CUDA GPUs are available: trying again" in caplog.text


def test_a_folder_that_can_not_be_written_to_is_waited_for(watch, tmp_path):
    watching = watch(Archive("one"))
    watching.look()
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("a file, in which no folder can be made")
    look(watching, 4)
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    watching.look()
    assert outcomes(tmp_path) == {hashed("one"): "stored"}


def test_what_is_refused_while_all_is_in_order_is_left_out_after_three_tries(watch, tmp_path, caplog):
    watching = watch(Archive("one"), lambda files, folder: load_plain(files / "none.pt"))
    look(watching, 3)
    assert outcomes(tmp_path) == {} and "try 2 of 3: " in caplog.text and "none.pt does not exist" in caplog.text
    look(watching, 2)
    assert outcomes(tmp_path)[hashed("one")].startswith("left out: ") and len(outcomes(tmp_path)) == 1


def test_a_series_that_takes_the_process_with_it_three_times_is_left_out(watch, tmp_path):
    def killed(files, folder):
        os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(3):
        if (child := os.fork()) == 0:
            look(watch(Archive("bad", "good"), killed), 2)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    look(watch(Archive("bad", "good")), 2)
    assert outcomes(tmp_path) == {
        hashed("bad"): "left out: the process has ended 3 times while it was at it",
        hashed("good"): "stored",
    }


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_stopped_on_purpose_does_not_count_as_a_try(watch, tmp_path, stop):
    def stopped(files, folder):
        raise stop

    for _ in range(4):
        with pytest.raises(stop):
            look(watch(Archive("one"), stopped), 2)
    look(watch(Archive("one")), 2)
    assert outcomes(tmp_path) == {hashed("one"): "stored"}


def test_files_of_a_series_that_is_gone_do_not_stay_and_those_of_others_do(watch, tmp_path):
    def stopped(files, folder):
        raise SystemExit

    with pytest.raises(SystemExit):
        look(watch(Archive("gone"), stopped), 2)
    assert (tmp_path / "out" / WORKING / hashed("gone") / "fetched" / "p.dcm").exists()
    (tmp_path / "out" / hashed("kept")).mkdir()  # as `noise2mask segment -o` makes them
    watch(Archive("gone")).look()
    assert [path.name for path in (tmp_path / "out" / WORKING).iterdir()] == [hashed("gone")]
    watch(Archive("other")).look()
    assert list((tmp_path / "out" / WORKING).iterdir()) == [] and (tmp_path / "out" / hashed("kept")).exists()


def test_a_folder_is_for_one_watch_alone(watch, tmp_path):
    second = watch(Archive())
    code = f"from noise2mask.files import Lock; lock = Lock({str(tmp_path / 'out')!r}); print('has it'); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as first:
        assert first.stdout.readline() == "has it\n"
        with pytest.raises(ValueError, match="Another process works in .*out; expected a folder of its own"):
            second.run(1)
        first.kill()
