"""Telling errors apart: a refusal of ours, whose message says what to do, a failure outside, and somebody's mistake."""

import dis
import errno
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_MEMORY = re.compile(
    "out of memory|MemoryError|can't allocate memory|not enough memory|ALLOC_FAILED"
)  # words of PyTorch
WORKER = re.compile(r"Caught \w+ in DataLoader worker process")
BETWEEN = re.compile(r"^(?:The above exception was|During handling of the above).*$", re.M)  # errors of one chain
RAISED = re.compile(  # the last frame of a trace, where it is a `raise`, and its error
    r'^  File "(?P<file>.+)", line \d+, in .+\n    raise .*\n(?:    .*\n)*(?P<kind>[\w.]+): (?P<text>(?s:.*))', re.M
)
DEVICE = re.compile("^(CUDA|HIP|XPU|MPS backend|cuDNN|MIOpen) (out of memory|error)")


class ServerError(OSError):
    """A server can not be reached, or does not do what it is asked."""


def refusal_in(error: BaseException | None) -> ValueError | None:
    """The outermost ValueError of a chain that this package raised: MONAI wraps what a component raises."""
    for one in _chain(error):
        if _ours(one):
            return one  # type: ignore[return-value]  # _ours has looked
        if told := _told(one):
            return told
    return None


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


def _told(error: BaseException) -> ValueError | None:
    """The same of what a worker of a DataLoader has raised: of its errors there is the text of their traces alone."""
    if not WORKER.match(str(error)):
        return None
    for trace in reversed(BETWEEN.split(str(error))):
        found = RAISED.search(trace)
        if found and PACKAGE in Path(found["file"]).parents and _is_refusal(found["kind"]):
            return ValueError(found["text"].rstrip())
    return None


def _is_refusal(kind: str) -> bool:
    """Whether the name of an error, as traces say it, is that of a ValueError."""
    module, _, name = kind.rpartition(".")
    found = getattr(sys.modules.get(module or "builtins"), name, None)
    return isinstance(found, type) and issubclass(found, ValueError)


def disk_is_full(error: BaseException | None) -> bool:
    """Whether there was no room for a file, or none that large is allowed, somewhere in a chain of errors."""
    return any(isinstance(one, OSError) and one.errno in NO_ROOM for one in _chain(error))


def out_of_memory(error: BaseException | None) -> str:
    """How an error in a chain says that there was not enough memory, of the processor or of a GPU; else empty."""
    for one in _chain(error):
        said = next((line for line in str(one).splitlines() if NO_MEMORY.search(line)), "")
        if isinstance(one, MemoryError) or (isinstance(one, RuntimeError) and said):
            return said or str(one).rpartition("\n")[2] or type(one).__name__
    return ""


def device_fails(error: BaseException | None) -> str:
    """How an error in a chain says that a GPU fails, or has no memory left; else empty."""
    lines = (str(one).partition("\n")[0] for one in _chain(error) if isinstance(one, RuntimeError))
    return next((line for line in lines if DEVICE.search(line)), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
