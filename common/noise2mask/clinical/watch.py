"""Serves the new series of an archive, one at a time, for as long as it runs.

Which series are done stands in a file and, as their results have the same UIDs whenever they are made, it may be lost:
they are segmented again, and the archive has nothing new to store.
"""

import datetime
import json
import logging
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import check_writable
from ..refusals import ServerError, disk_is_full, refusal_in
from .dicomweb import Archive, Found
from .series import hashed
from .study import Segment, serve_series

logger = logging.getLogger(__name__)

SERVED = "served.jsonl"  # a line per series: when, which (a hash), what came of it
TRIES = 3  # at a series that breaks for reasons unknown


class Watch:
    """What is new in an archive, and what has been done.

    Args:
        archive:  to look at.
        modality: of the series that are segmented, such as US.
        days:     studies of today and so many days before are looked at.
        output:   holds `served.jsonl`, and what is being worked on.
        segment:  makes DICOM objects of the files of a series.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(self, archive: Archive, modality: str, days: int, output: Path, segment: Segment) -> None:
        self.archive, self.modality, self.days, self.segment = archive, modality, days, segment
        self.output = output
        check_writable(output)
        self.served = set(_served(output / SERVED))
        self.seen: dict[str, int] = {}  # number of objects when a series was last looked at
        self.broken: Counter[str] = Counter()  # how often it broke for reasons unknown
        self.failed: Counter[str] = Counter()  # how often the archive or the disk failed at it

    def run(self, interval: float) -> None:
        """Look every `interval` seconds, for ever; an archive that is down is waited for."""
        logger.info(f"watching {self.archive.host} for {self.modality}, {len(self.served)} series served before")
        while True:
            self.look()
            self.archive.hang_up()
            time.sleep(interval)

    def look(self) -> None:
        """Serve what is new and complete: a series that has grown since the last look is still being sent."""
        try:
            for found in self._complete():
                self._serve(found)
        except Exception as error:
            if not _outside(error):
                raise
            said = "the disk is full" if disk_is_full(error) else error
            logger.error(f"{said}: trying again at the next look")

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        """Count where archive or disk fail at a series: at the next look it comes after the others."""
        try:
            yield
        except Exception as error:
            self.failed[name] += _outside(error)
            raise

    def _complete(self) -> Iterator[Found]:
        since = datetime.date.today() - datetime.timedelta(days=self.days)
        there = self.archive.series(Modality=self.modality, StudyDate=f"{since:%Y%m%d}-")
        for found in sorted(there, key=lambda found: self.failed[hashed(found.series)]):  # none holds up the others
            name = hashed(found.series)
            if found.modality != self.modality or name in self.served:  # servers may ignore what they do not know
                continue
            with self._counted(name):
                count = len(self.archive.instances(found))
            if self.seen.get(name) == count > 0:
                yield found
            self.seen[name] = count

    def _serve(self, found: Found) -> None:
        name = hashed(found.series)
        folder = self.output / name
        logger.info(f"series {name} of study {hashed(found.study)}: {self.seen.get(name)} objects")
        try:
            with self._counted(name):
                serve_series(self.archive, found, folder, self.segment)
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            self._note(name, "stored", triage=round(report["cases"][0]["triage"], 3))
        except Exception as error:
            if _outside(error):
                raise
            refusal = refusal_in(error)
            self.broken[name] += 1
            if refusal is None and self.broken[name] < TRIES:
                where = "".join(traceback.format_tb(error.__traceback__))  # without the text, which may hold a name
                logger.error(f"series {name}: {type(error).__name__}, try {self.broken[name]} of {TRIES}\n{where}")
                return
            self._note(name, f"left out: {refusal or type(error).__name__}")
        shutil.rmtree(folder, ignore_errors=True)  # pixels of patients do not stay

    def _note(self, name: str, outcome: str, **numbers: float) -> None:
        """Write down what came of a series, before its files are deleted."""
        line = {"time": datetime.datetime.now().isoformat(timespec="seconds"), "series": name, "outcome": outcome}
        with open(self.output / SERVED, "a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(line | numbers)}")  # a line that was cut off before must not spoil this one
        self.served.add(name)
        logger.info(f"series {name}: {outcome}")


def _outside(error: Exception) -> bool:
    """Whether the archive or the disk failed, which is not the series' fault."""
    return isinstance(error, ServerError) or disk_is_full(error)


def _served(path: Path) -> Iterator[str]:
    """Hashes of the series in a file; a last line that was cut off counts as not there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in filter(None, lines):
        try:
            yield json.loads(line)["series"]
        except (ValueError, KeyError):
            logger.warning(f"{path} has a line that is none: its series is done again")
