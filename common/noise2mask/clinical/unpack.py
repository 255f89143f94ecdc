"""Files of a zip, taken out one by one: no size that it declares and no name in it is trusted."""

import shutil
import zipfile
import zlib
from pathlib import Path

from ..zips import take_out

MOST_FILES = 20_000


def unpack(path: Path, work: Path) -> list[Path]:
    """Take the files of a zip out, under numbers instead of their names.

    Args:
        path: of the zip.
        work: an own folder for them, made anew.

    Raises:
        ValueError: where it is no zip, is damaged, holds a path that leads outside or a link, or unpacks to more than
            `MOST_FILES` files, or more than `take_out` allows; nothing is written outside `work`.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_members(path, members)
            files = {work / f"{number:05d}": member for number, member in enumerate(members)}
            take_out(archive, files)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:  # encrypted ones are the last
        raise ValueError(f"{path} can not be unpacked ({error}): send it again, as a plain zip.") from error
    return list(files)


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES:
        raise ValueError(f"{path} holds {len(members)} files, expected at most {MOST_FILES}: give one series alone.")
    for member in members:
        parts = Path(member.filename.replace("\\", "/")).parts
        link = (member.external_attr >> 16) & 0o170000 == 0o120000
        if ".." in parts or Path(member.filename).is_absolute() or ":" in "".join(parts[:1]) or link:
            raise ValueError(f"{path} holds a link, or a path that leads outside: do not use it.")
