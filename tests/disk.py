"""A disk that is full, and a kill while a file is written, for tests."""

import os
import resource
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full_disk(size):
    """Files can not grow beyond `size` bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def kill_where_written(monkeypatch, name):
    """From now on a kill comes when a file of this name is to be put in its place."""
    replace = os.replace

    def killed(source, target):
        if Path(target).name == name:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
