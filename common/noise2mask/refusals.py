"""Telling errors apart: a refusal of ours, whose message says what to do, a failure outside, and somebody's mistake."""

import errno
from pathlib import Path
from traceback import walk_tb

PACKAGE = Path(__file__).parent
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ServerError(OSError):
    """A server can not be reached, or does not do what it is asked."""


def refusal_in(error: BaseException | None) -> ValueError | None:
    """The outermost ValueError of a chain that this package raised: MONAI wraps what a component raises."""
    while error is not None and not _ours(error):
        error = error.__cause__ or error.__context__
    return error  # type: ignore[return-value]  # _ours has looked


def _ours(error: BaseException) -> bool:
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    raised = Path(frames[-1].f_code.co_filename) if frames else PACKAGE
    return isinstance(error, ValueError) and PACKAGE in raised.parents


def disk_is_full(error: BaseException | None) -> bool:
    """Whether there was no room for a file, or none that large is allowed, somewhere in a chain of errors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False
