"""What end-to-end tests share: demonstration data, and the project's commands, run as a user runs them.

Commands run in other processes and never in the checkout. `Commands.real` starts `python ...` anew; `Commands.start`
and what builds on it run the same in a forked child of `command_server.py`, which saves the seconds of importing.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from noise2mask.networks.pgdiffseg import PGDiffSeg

ROOT = Path(__file__).parents[1]
BUNDLES = ROOT / "bundles"
LIMIT = 240  # seconds that any command may take
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(ROOT / "common"), os.environ.get("PYTHONPATH", "")]),
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "CUDA_VISIBLE_DEVICES": "",
    "GIT_PYTHON_REFRESH": "quiet",
}
TINY = {  # what makes a bundle's network quick
    "pgdiffseg": {"network_def::base": "8", "network_def::multipliers": "[1,2]", "image_size": "[16,16]"},
    "medsegdiff": {
        "network_def::base": "4",
        "network_def::blocks": "[1,1,1,1]",
        "network_def::grid": "8",
        "image_size": "[16,16]",
    },
    "diffusiondci_generation": {
        "network_def::base": "8",
        "network_def::multipliers": "[1,2]",
        "network_def::attention_levels": "[1]",
        "network_def::token_sides": "[2]",
        "network_def::spade_hidden": "4",
        "network_def::reference_encoder::width": "8",
        "network_def::reference_encoder::embedding": "8",
        "image_size": "[16,16]",
    },
    "diffusiondci_segmentation": {
        "network_def::dsdm::base": "8",
        "network_def::dsdm::multipliers": "[1,2]",
        "network_def::dsdm::attention_levels": "[1]",
        "network_def::dsdm::token_sides": "[2]",
        "network_def::dsdm::spade_hidden": "4",
        "network_def::dsdm::reference_encoder::width": "8",
        "network_def::dsdm::reference_encoder::embedding": "8",
        "network_def::entries": "[0,1]",
        "image_size": "[16,16]",
    },
    "medsegdiff_v2": {
        "network_def::base": "8",
        "network_def::multipliers": "[1,2]",
        "network_def::former_blocks": "1",
        "network_def::heads": "2",
        "image_size": "[16,16]",
    },
}
SHORT = ("--batch_size", "4", "--prior_epochs", "3", "--epochs", "3")


class Process:
    """A started command and what it has printed so far."""

    def __init__(self, server: "Commands", number: int, log: Path) -> None:
        self.server, self.number, self.log = server, number, log

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, with the workers of its data loader."""
        os.killpg(self.number, signal.SIGKILL)

    def follow(self, words: str) -> None:
        """Wait until it has printed these words."""
        end = time.monotonic() + LIMIT
        while words not in self.text and time.monotonic() < end and "Traceback" not in self.text:
            time.sleep(0.002)
        assert words in self.text, self.text

    def kill_after(self, words: str, seconds: float = 0.0) -> int:
        """SIGKILL some time after it has printed these words; its exit code, 0 where it was faster."""
        self.follow(words)
        time.sleep(seconds)
        self.kill()  # its zombie still takes the signal where it has ended
        return self.wait()

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        timer = threading.Timer(LIMIT, self.kill)
        timer.start()
        try:
            return self.server.ask({"wait": self.number})
        finally:
            timer.cancel()


class Commands:
    """Starts commands; `folder` is the working directory."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder, self.logs, self.count = folder, logs, 0
        self.environment = os.environ | ENVIRONMENT
        command = [sys.executable, str(Path(__file__).with_name("command_server.py"))]
        self.process = subprocess.Popen(
            command, env=self.environment, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @staticmethod
    def bundle(run_id: str, configs: str, *options: str | Path, name: str = "pgdiffseg") -> list[str]:
        """`-m monai.bundle run ...` with some of a bundle's configs and a tiny network."""
        files = [str(BUNDLES / name / "configs" / config) for config in configs.split()]
        where = ["--bundle_root", str(BUNDLES / name), "--config_file", str(files)]
        tiny = [part for key, value in TINY[name].items() for part in (f"--{key}", value)]
        return ["-m", "monai.bundle", "run", run_id, *where, *tiny, *map(str, options)]

    @staticmethod
    def command(*arguments: str | Path | int, tiny: str | None = None) -> list[str]:
        """`-m noise2mask.cli.app ...`, with the tiny network of a bundle where one is named."""
        settings = [part for key, value in TINY.get(tiny, {}).items() for part in ("--set", f"{key}={value}")]
        return ["-m", "noise2mask.cli.app", *map(str, arguments), *settings]

    def ask(self, request: dict) -> int:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, arguments: list[str], **environment: str) -> Process:
        """Start a command and do not wait."""
        self.count += 1
        log = self.logs / f"{self.count}.log"
        log.touch()
        request = {"arguments": arguments, "folder": str(self.folder), "log": str(log), "environment": environment}
        return Process(self, self.ask(request), log)

    def run(self, arguments: list[str]) -> str:
        """Run a command that succeeds; what it printed."""
        process = self.start(arguments)
        assert process.wait() == 0, process.text[-4000:]
        return process.text

    def fails(self, arguments: list[str]) -> str:
        """Run a command that fails by itself; what it printed."""
        process = self.start(arguments)
        assert process.wait() == 1, process.text[-4000:]
        return process.text

    def ranks(self, arguments: list[str], world_size: int = 2) -> list[Process]:
        """Start what torchrun starts."""
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            port = str(some.getsockname()[1])
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world_size)}
        return [
            self.start(arguments, RANK=str(rank), LOCAL_RANK=str(rank), **common, LOCAL_WORLD_SIZE=str(world_size))
            for rank in range(world_size)
        ]

    def real(self, arguments: list[str]) -> str:
        """Run a command that succeeds in a Python of its own."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def torchrun(self, arguments: list[str]) -> str:
        """Run a command in two processes that succeed."""
        return self.real(["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *arguments])

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(LIMIT)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    server = Commands(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("logs"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def demo(commands, tmp_path_factory):
    """Generated ultrasound: 19 images to train, 2 to validate, 3 to test."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    commands.real(["-m", "noise2mask.data.demo", "--output", str(folder), "--patients", "12"])
    return folder


@pytest.fixture(scope="session")
def training(commands, demo):
    """The command that trains the tiny network, without its output_dir."""
    options = ("--dataset_dir", demo, *SHORT, "--val_interval", "1")
    return commands.bundle("training", "train.yaml data/folder.yaml", *options)


@pytest.fixture(scope="session")
def trained(commands, training, tmp_path_factory):
    """Output folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    commands.real([*training, "--output_dir", str(folder)])
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A model.pt of random weights, whose masks are rich in detail."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save({"model": PGDiffSeg(base=8, multipliers=(1, 2), dense_layers=2, num_groups=4).state_dict()}, path)
    return path


@pytest.fixture
def own_logging():
    """Logging as it was, after a command that was run in this process and has set it up for its own output."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
