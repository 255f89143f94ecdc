"""Telling errors apart: a refusal of ours, whose message says what to do, a failure outside, and somebody's mistake."""

import dis
import errno
from pathlib import Path

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
    """Whether a `raise` of this package made it: what numpy, torch or `zip` raise within our lines is a mistake."""
    traceback = error.__traceback__
    if not isinstance(error, ValueError) or traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    raised = dis.opname[code.co_code[traceback.tb_lasti]] == "RAISE_VARARGS"
    return raised and PACKAGE in Path(code.co_filename).parents


def disk_is_full(error: BaseException | None) -> bool:
    """Whether there was no room for a file, or none that large is allowed, somewhere in a chain of errors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False
