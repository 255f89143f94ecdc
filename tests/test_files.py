"""A crash leaves the old file or the new one; loading runs no code."""

import errno
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from noise2mask import files
from noise2mask.files import Lock, load_plain, previous_path, save_atomically, write_text_atomically
from noise2mask.refusals import disk_is_full

from .disk import full_disk


class Failing:
    """Can not be saved."""

    def __reduce__(self):
        raise RuntimeError("no")


class Evil:
    """Makes a file when it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new_folder" / "last.pt"


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_what_is_saved_is_loaded(path):
    content = {"a": torch.arange(3), "b": [1, 2.5, "x", None], "c": {"d": True}}
    save_atomically(content, path)
    loaded = load_plain(path)
    assert torch.equal(loaded.pop("a"), content.pop("a")) and loaded == content
    assert names(path) == ["last.pt"]


def test_the_previous_file_is_kept_on_request(path):
    for number in range(3):
        save_atomically({"n": number}, path, keep_previous=True)
    assert load_plain(path) == {"n": 2} and load_plain(previous_path(path)) == {"n": 1}
    save_atomically({"n": 3}, path)
    assert load_plain(path) == {"n": 3} and load_plain(previous_path(path)) == {"n": 1}


@pytest.mark.parametrize("keep_previous", [True, False])
def test_content_that_can_not_be_saved_leaves_the_old_file(path, keep_previous):
    save_atomically({"n": 1}, path)
    with pytest.raises(RuntimeError, match="no"):
        save_atomically({"n": 2, "bad": Failing()}, path, keep_previous)
    assert load_plain(path) == {"n": 1} and names(path) == ["last.pt"]


@pytest.mark.parametrize("keep_previous", [True, False])
def test_a_full_disk_leaves_the_old_file(path, keep_previous):
    save_atomically({"n": 1}, path)
    with full_disk(5000), pytest.raises((OSError, RuntimeError)) as caught:  # torch's own hides the disk's
        save_atomically({"n": torch.zeros(10000)}, path, keep_previous)
    assert disk_is_full(caught.value)
    assert load_plain(path) == {"n": 1} and names(path) == ["last.pt"]


def test_a_full_disk_leaves_the_old_text(path):
    write_text_atomically("old", path)
    with full_disk(100), pytest.raises(OSError, match="too large"):
        write_text_atomically("n" * 1000, path)
    assert path.read_text() == "old" and names(path) == ["last.pt"]


def test_text_is_unicode_whatever_the_locale(path):
    write_text_atomically("µm ≥ 3", path)
    assert path.read_bytes().decode("utf-8") == "µm ≥ 3" and names(path) == ["last.pt"]


def _save_for_ever(path, written):
    number = 0
    while True:
        number += 1
        save_atomically({"n": torch.full((50_000,), number)}, path, keep_previous=True)
        written.set()


def test_a_killed_process_leaves_a_good_file(path):
    context = multiprocessing.get_context("fork")
    for _ in range(8):
        save_atomically({"n": torch.zeros(50_000, dtype=torch.int64)}, path)
        written = context.Event()
        process = context.Process(target=_save_for_ever, args=(path, written))
        process.start()
        assert written.wait(60)
        time.sleep(0.05 * random.random())  # somewhere in one of the next
        process.kill()
        process.join()
        newest = path if path.exists() else previous_path(path)
        values = load_plain(newest)["n"]
        assert process.exitcode == -signal.SIGKILL and len(values) == 50_000 and values.min() == values.max() > 0


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, write):
    write({"n": 1, "evil": Evil(str(tmp_path / "harm"))}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="evil.pt is no readable checkpoint of plain tensors"):
        load_plain(tmp_path / "evil.pt")
    assert not (tmp_path / "harm").exists()
    pickle.loads(pickle.dumps(Evil(str(tmp_path / "harm"))))
    assert (tmp_path / "harm").exists(), "the file must be harmful for this test to mean anything"


@pytest.mark.parametrize("keep", [0, 10, 500, -100])
def test_a_truncated_file_is_named(path, keep):
    save_atomically({"n": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="last.pt is no readable checkpoint"):
        load_plain(path)


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from noise2mask.files import load_plain
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 50_000_000, -1))
try:
    load_plain(sys.argv[1])
except (MemoryError, RuntimeError) as error:
    print(type(error).__name__, error.__notes__[0])
"""


def test_a_lack_of_memory_is_not_the_file_s_fault(path):
    save_atomically({"n": torch.zeros(100_000_000, dtype=torch.uint8)}, path)
    command = [sys.executable, "-c", LITTLE_MEMORY, path]  # a fresh process has nothing that it could use again
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert f"This was while {path} was read, which may be in order." in said
    assert len(load_plain(path)["n"]) == 100_000_000


def test_a_failing_disk_is_not_the_file_s_fault(tmp_path):
    (tmp_path / "last.pt").symlink_to("/proc/self/mem")  # its first byte belongs to nobody
    with pytest.raises(OSError, match="Input/output error"):
        load_plain(tmp_path / "last.pt")


def test_a_missing_file_is_named(path):
    with pytest.raises(ValueError, match="last.pt does not exist"):
        load_plain(path)


# Locks


def _keep_for_ever(folder, connection):
    """Take the folder, start a worker that outlives this process, and tell its number."""
    lock = Lock(folder)
    if worker := os.fork():
        connection.send(worker)
    signal.pause()
    lock.close()


@pytest.fixture
def other(tmp_path):
    """A process that has the folder, with a worker of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_keep_for_ever, args=(tmp_path, theirs))
    process.start()
    theirs.close()
    worker = ours.recv()
    yield process
    process.kill()
    os.kill(worker, signal.SIGKILL)


def test_a_folder_is_for_one_process_until_that_is_killed_whatever_becomes_of_its_workers(tmp_path, other):
    with pytest.raises(ValueError, match=f"Another process works in {tmp_path}; expected a folder of its own"):
        Lock(tmp_path)
    other.kill()
    other.join()
    Lock(tmp_path).close()


def test_a_lock_ends_when_it_is_forgotten(tmp_path):
    lock = Lock(tmp_path)
    code = f"from noise2mask.files import Lock; Lock({str(tmp_path)!r})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 1
    del lock
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_where_files_can_not_be_locked_a_warning_says_so(tmp_path, monkeypatch, caplog):
    def unknown(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "lockf", unknown)
    Lock(tmp_path)
    assert f"{tmp_path} can not be locked (No locks available): see that no other" in caplog.text
