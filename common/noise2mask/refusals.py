"""Telling errors apart: a refusal of ours, whose message says what to do, a failure outside, and somebody's mistake."""

import dis
import errno
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory|ALLOC_FAILED")  # PyTorch's words
DEVICE = re.compile("^(CUDA|HIP|XPU|MPS backend|cuDNN|MIOpen) (out of memory|error)")


class ServerError(OSError):
    """A server can not be reached, or does not do what it is asked."""


def refusal_in(error: BaseException | None) -> ValueError | None:
    """The outermost ValueError of a chain that this package raised: MONAI wraps what a component raises."""
    return next((one for one in _chain(error) if _ours(one)), None)  # type: ignore[return-value]  # _ours has looked


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
    return any(isinstance(one, OSError) and one.errno in NO_ROOM for one in _chain(error))


def out_of_memory(error: BaseException | None) -> str:
    """How an error in a chain says that there was not enough memory, of the processor or of a GPU; else empty."""
    for one in _chain(error):
        said = next((line for line in str(one).splitlines() if NO_MEMORY.search(line)), "")
        if isinstance(one, MemoryError) or (isinstance(one, RuntimeError) and said):
            return said or str(one) or type(one).__name__
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
