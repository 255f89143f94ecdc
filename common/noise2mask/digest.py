"""SHA-256 of files, folders and tensors, and whether a published file is still what was published."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PUBLISHED = "SHA256SUMS"  # beside the files that it lists, as sha256sum writes it


def sha256(path: str | Path) -> str:
    """Of a file's content, or of the names and contents of a folder's files; empty where there is nothing."""
    path = Path(path)
    if path.is_dir():
        parts = (f"{file.name} {sha256(file)}\n" for file in sorted(path.iterdir()) if file.is_file())
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: str | Path) -> str:
    """`sha256`, for which a file is read again only where its size or its time have changed since."""
    path = Path(path)
    if not path.is_file():
        return sha256(path)
    found = path.stat()
    return _sha256_of(path, found.st_size, found.st_mtime_ns)


@cache
def _sha256_of(path: Path, size: int, time: int) -> str:
    return sha256(path)


def digest(tensors: Mapping[str, "Tensor"]) -> str:
    """Of names and values."""
    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def check_published(path: str | Path) -> None:
    """See that a file is the one that `SHA256SUMS` beside it lists; nothing where none stands there, or not this file.

    A changed byte in weights loads without a word, and the masks are wrong.

    Raises:
        ValueError: where it is another one; it names the file.
    """
    path = Path(path)
    sums = path.with_name(PUBLISHED)
    if not sums.is_file():
        return
    lines = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines())
    published = {parts[1].lstrip("*"): parts[0] for parts in lines if len(parts) == 2}
    if path.name in published and sha256(path) != published[path.name]:
        raise ValueError(
            f"{path} is not the file that {sums} lists: get it again, or delete {PUBLISHED} if you changed it yourself."
        )
