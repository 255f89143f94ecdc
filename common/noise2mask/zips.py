"""Taking files out of a zip, which may declare what it likes."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo

MOST_BYTES = 8 * 2**30  # unpacked, all together
CHUNK = 2**20


def take_out(archive: ZipFile, members: Mapping[Path, ZipInfo | str]) -> None:
    """Write some members of a zip, each to its path.

    Raises:
        ValueError: where they unpack to more than `MOST_BYTES`, whatever sizes are declared; it names the zip.
    """
    left = MOST_BYTES
    for target, member in members.items():
        with archive.open(member) as source, open(target, "wb") as file:
            while chunk := source.read(CHUNK):
                if (left := left - len(chunk)) < 0:
                    found = f"{archive.filename} unpacks to more than {MOST_BYTES} bytes"
                    raise ValueError(f"{found}: give one series, or one bundle, alone.")
                file.write(chunk)
