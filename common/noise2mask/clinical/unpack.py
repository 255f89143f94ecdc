"""Files of a zip, taken out one by one: no size that it declares and no name in it is trusted."""

import shutil
import zipfile
import zlib
from pathlib import Path

MOST_FILES = 20_000
MOST_BYTES = 8 * 2**30  # unpacked, all together
CHUNK = 2**20


def unpack(path: Path, work: Path) -> list[Path]:
    """Take the files of a zip out, under numbers instead of their names.

    Args:
        path: of the zip.
        work: an own folder for them, made anew.

    Raises:
        ValueError: where it is no zip, is damaged, holds a path that leads outside or a link, or unpacks to more than
            `MOST_FILES` files or `MOST_BYTES`; nothing is written outside `work`.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files, left = [], MOST_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_members(path, members)
            for number, member in enumerate(members):
                files.append(work / f"{number:05d}")
                left -= _copy(archive, member, files[-1], left)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:  # encrypted ones are the last
        raise ValueError(f"{path} can not be unpacked ({error}): send it again, as a plain zip.") from error
    return files


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES:
        raise ValueError(f"{path} holds {len(members)} files, expected at most {MOST_FILES}: give one series alone.")
    for member in members:
        parts = Path(member.filename.replace("\\", "/")).parts
        link = (member.external_attr >> 16) & 0o170000 == 0o120000
        if ".." in parts or Path(member.filename).is_absolute() or ":" in "".join(parts[:1]) or link:
            raise ValueError(f"{path} holds a link, or a path that leads outside: do not use it.")


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Bytes written; what is declared does not count."""
    written = 0
    with archive.open(member) as source, open(target, "wb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > left:
                raise ValueError(f"{archive.filename} unpacks to more than {MOST_BYTES} bytes: give one series alone.")
            file.write(chunk)
    return written
