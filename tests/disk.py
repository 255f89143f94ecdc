"""A disk that is full, for tests."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(size):
    """Files can not grow beyond `size` bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
