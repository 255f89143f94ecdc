"""An archive for all tests, and the command as a process of its own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from .orthanc import Orthanc, program

MARKS = [pytest.mark.archive, pytest.mark.skipif(program() is None, reason="needs Orthanc: tox -e archive")]

VOLUME = np.random.default_rng(0).integers(0, 255, (4, 20, 24))
TINY = {"image_size": "[16,16]", "network_def::base": "8", "network_def::multipliers": "[1,2]", "samples": "2"}


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    archive = Orthanc(tmp_path_factory.mktemp("orthanc"))
    yield archive
    archive.stop()


@pytest.fixture
def orthanc(running):
    """An empty archive."""
    running.clear()
    return running


class Command:
    """`noise2mask ...` as a process; `text` is what it has said."""

    def __init__(self, folder, arguments, **environment):
        self.log = folder / f"{len(list(folder.glob('*.log')))}.log"
        settings = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "noise2mask.cli.app", *map(str, arguments), *settings],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | {"OMP_NUM_THREADS": "1", **environment},
            )

    @property
    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self):
        """The exit code."""
        return self.process.wait(240)

    def wait_for(self, words, seconds=240):
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end and self.process.poll() is None, self.text[-4000:]
            time.sleep(0.05)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def command(tmp_path):
    """command(arguments, **environment): a started process."""
    started = []
    folder = tmp_path / "said"
    folder.mkdir()

    def start(*arguments, **environment):
        started.append(Command(folder, arguments, **environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
