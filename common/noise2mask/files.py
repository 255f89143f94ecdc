"""Writing files so that a crash leaves the old one or the new one, never half of one; loading without running code."""

import errno
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from .digest import check_published
from .refusals import out_of_memory

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

LOCK = "lock"  # the file in a folder by which a process has it


def check_writable(folder: str | Path) -> None:
    """Make the folder, and see that a file can be made in it.

    Raises:
        ValueError: where not; it names the folder.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder} can not be written to ({error.strerror}); expected one of your own: give another output_dir."
        ) from error


class Lock:
    """A folder is this process's alone, until this is closed, forgotten, or the process ends, in whatever way.

    The lock is the process's own (POSIX): workers that outlive a killed training do not hold it. Where a file system
    knows none, a warning says so.

    Args:
        folder: it must exist.

    Raises:
        ValueError: where another process has it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.file = open(Path(folder) / LOCK, "a", encoding="utf-8")
        try:
            if fcntl is not None:
                fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            self.close()
            expected = "expected a folder of its own for each: stop that one, or give another output folder"
            raise ValueError(f"Another process works in {folder}; {expected}.") from error
        except OSError as error:
            logger.warning(f"{folder} can not be locked ({error.strerror}): see that no other process works in it.")

    def close(self) -> None:
        """Give the folder back."""
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):  # it could be opened
            self.close()


def save_atomically(content: Any, path: str | Path, keep_previous: bool = False) -> None:
    """`torch.save`, atomically.

    Args:
        content:       plain tensors, numbers, strings, lists and dicts.
        path:          where it goes; its folder is made.
        keep_previous: keep the file that was there as `previous_path(path)`.
    """
    with atomic_file(Path(path), keep_previous) as file:
        torch.save(content, file)


def write_text_atomically(text: str, path: str | Path, keep_previous: bool = False) -> None:
    """A text file in UTF-8, atomically; `keep_previous` as for `save_atomically`."""
    with atomic_file(Path(path), keep_previous) as file:
        file.write(text.encode())


@contextmanager
def atomic_file(path: Path, keep_previous: bool = False) -> Iterator[BinaryIO]:
    """A temporary file in the same folder, synced and renamed when all went well.

    Its name is fixed, so that what a killed process leaves behind is overwritten by the next. Two processes would write
    the same one: a `Lock` keeps a second training out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_previous and path.exists():
            os.replace(path, previous_path(path))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def previous_path(path: str | Path) -> Path:
    """last.pt -> last_previous.pt."""
    path = Path(path)
    return path.with_name(f"{path.stem}_previous{path.suffix}")


def load_plain(path: str | Path) -> Any:
    """Load tensors and plain values to the CPU; nothing in the file is executed, and there is no unsafe second try.

    Raises:
        ValueError:                         where the file is missing, damaged, not the one that was published, or
                                            holds more than plain values; it names the file.
        OSError, MemoryError, RuntimeError: where disk, rights or memory fail, which is not the file's fault.
    """
    if not Path(path).exists():
        raise ValueError(f"{path} does not exist: train first, or give another file.")
    check_published(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and key errors of many kinds
        if _is_outside(error):
            error.add_note(f"This was while {path} was read, which may be in order.")
            raise
        kind = type(error).__name__  # torch's own words advise to load unsafely
        raise ValueError(f"{path} is no readable checkpoint of plain tensors ({kind}): use another file.") from error


def _is_outside(error: Exception) -> bool:
    """Whether disk, rights or memory failed: a file that is cut off makes torch seek to before its beginning."""
    if isinstance(error, OSError):
        return error.errno != errno.EINVAL
    return bool(out_of_memory(error))
