"""Runs Python commands in forked children of one process that has imported PyTorch and MONAI already.

It reads one JSON object per line. {"arguments": [...], "folder": cwd, "log": file, "environment": {...}} starts
`python ARGUMENTS`, which are `-m module ...` or `script ...`, as the leader of a process group and answers with its
process id; {"wait": process id} waits for its end and answers with its exit code, negative for a signal.
"""

import json
import os
import runpy
import sys

import torch._dynamo  # noqa: F401 - every optimiser asks for it, which takes a second
from monai.bundle.config_item import ComponentLocator


def main() -> None:
    ComponentLocator().get_component_module_name("SupervisedTrainer")  # imports all of MONAI, as the first run would
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                return become(**request)
        print(answer, flush=True)


def become(arguments: list[str], folder: str, log: str, environment: dict[str, str]) -> None:
    """Be the process that `python ARGUMENTS` is."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    for source, flags, targets in ((os.devnull, os.O_RDONLY, (0,)), (log, os.O_WRONLY | os.O_CREAT, (1, 2))):
        descriptor = os.open(source, flags, 0o644)
        for target in targets:
            os.dup2(descriptor, target)
    sys.path[0] = folder
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
