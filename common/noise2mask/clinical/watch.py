"""Serves the new series of an archive, one at a time, for as long as it runs.

Which series are done stands in a file and, as their results have the same UIDs whenever they are made, it may be lost:
they are segmented again, and the archive has nothing new to store.
"""

import datetime
import json
import logging
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ..data.results import REPORT
from ..files import Lock, check_writable, write_text_atomically
from ..refusals import ServerError, device_fails, disk_is_full, refusal_in
from .dicomweb import Archive, Found
from .series import hashed
from .study import Segment, reason, serve_series

logger = logging.getLogger(__name__)

SERVED = "served.jsonl"  # a line per series: when, which (a hash), what came of it
WORKING = "working"  # folder of the series that are being worked on; what else stands in it is deleted
TRIED = "tried"  # file in a series' folder: how often it was begun, so that this is known after a crash
TRIES = 3  # at a series that is refused, breaks, or takes the process with it


class Later(Exception):
    """Archive, disk, GPU or installation fail, which is no series' fault."""


class Watch:
    """What is new in an archive, and what has been done.

    Args:
        archive:  to look at.
        modality: of the series that are segmented, such as US.
        days:     studies of today and so many days before are looked at.
        output:   holds `served.jsonl`, and what is being worked on.
        segment:  makes DICOM objects of the files of a series.
        check:    raises a ValueError where no series could be segmented: weights are away, or are not the right ones.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(
        self, archive: Archive, modality: str, days: int, output: Path, segment: Segment, check: Callable[[], object]
    ) -> None:
        self.archive, self.modality, self.days, self.segment, self.check = archive, modality, days, segment, check
        self.output = output
        check_writable(output)
        self.served = dict(_served(output / SERVED))  # with the number of objects that each had
        self.seen: dict[str, int] = {}  # number of objects when a series was last looked at
        self.failed: Counter[str] = Counter()  # how often archive, disk, GPU or installation failed at it

    def run(self, interval: float) -> None:
        """Look every `interval` seconds, until the process is stopped; an archive that is down is waited for.

        Raises:
            ValueError: where another process works in the folder.
        """
        with closing(Lock(self.output)):  # two would delete each other's files
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # a try that was stopped does not count
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
        except Later as later:
            logger.error(f"{later}: trying again at the next look")

    def _complete(self) -> Iterator[Found]:
        there = self._new()
        _tidy(self.output / WORKING, there.keys())
        for name in sorted(there, key=lambda name: self.failed[name]):  # none holds up the others
            with self._outside(name):
                count = len(self.archive.instances(there[name]))
            if self.seen.get(name) == count > 0:
                yield there[name]
            self.seen[name] = count

    def _new(self) -> dict[str, Found]:
        """The archive's series that are not served, or have grown since, by their hashes."""
        since = datetime.date.today() - datetime.timedelta(days=self.days)
        with self._outside():
            found = self.archive.series(Modality=self.modality, StudyDate=f"{since:%Y%m%d}-")
        found = [made for made in found if made.modality == self.modality]  # servers may not filter
        there = {hashed(made.series): made for made in found}
        return {name: made for name, made in there.items() if self._is_new(name, made)}

    def _is_new(self, name: str, found: Found) -> bool:
        return name not in self.served or 0 < self.served[name] < found.objects

    def _serve(self, found: Found) -> None:
        """Try to serve a series; what ends the process at it counts as a try."""
        name = hashed(found.series)
        folder = self.output / WORKING / name
        number = _tried(folder) + 1
        if number > TRIES:
            return self._finish(found, f"left out: the process has ended {TRIES} times while it was at it")
        logger.info(f"series {name} of study {hashed(found.study)}: {self.seen.get(name)} objects")
        try:
            with self._outside(name):
                write_text_atomically(str(number), folder / TRIED)
                serve_series(self.archive, found, folder, self.segment)
                cases = json.loads((folder / REPORT).read_text(encoding="utf-8"))["cases"]
                triage = max(case["triage"] for case in cases)  # of a series of stills, the one to look at first
                self._finish(found, "stored", cases=len(cases), triage=round(triage, 3))
        except (Later, KeyboardInterrupt, SystemExit):
            with suppress(OSError):  # the folder itself may be what fails
                (folder / TRIED).unlink()
            raise
        except Exception as error:
            self._give_up_at_last(found, number, error)

    def _give_up_at_last(self, found: Found, number: int, error: Exception) -> None:
        """Leave a series out that was refused, or broke, as often as it may."""
        name = hashed(found.series)
        said = refusal_in(error) or type(error).__name__
        if number >= TRIES:
            return self._finish(found, f"left out: {said}")
        logger.error(f"series {name}: try {number} of {TRIES}: {reason(error)}")

    @contextmanager
    def _outside(self, name: str = "") -> Iterator[None]:
        """Make `Later` of what archive, disk, GPU or installation fail at; the series waits behind the others."""
        try:
            yield
        except Exception as error:
            if (cause := self._cause(error)) is None:
                raise
            self.failed[name] += 1
            raise Later(cause) from error

    def _cause(self, error: Exception) -> object:
        """What fails, where it is not the series: None where archive, disk, GPU and installation are in order."""
        if isinstance(error, ServerError):
            return error
        if disk_is_full(error):
            return "the disk is full"
        if said := device_fails(error):  # what a GPU needs does not grow with the series: another process has it
            return said
        try:
            check_writable(self.output)
            self.check()
        except ValueError as wrong:
            return wrong
        except Exception as wrong:  # without any series, of whatever kind
            first, *_ = f"{type(wrong).__name__}: {wrong}".splitlines()
            return first
        return None

    def _finish(self, found: Found, outcome: str, **numbers: float) -> None:
        """Write down what came of a series, and delete its files: pixels of patients do not stay."""
        name, now = hashed(found.series), datetime.datetime.now().isoformat(timespec="seconds")
        line = {"time": now, "series": name, "objects": found.objects, "outcome": outcome}
        with open(self.output / SERVED, "a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(line | numbers)}")  # a line that was cut off before must not spoil this one
        self.served[name] = found.objects
        logger.info(f"series {name}: {outcome}")
        shutil.rmtree(self.output / WORKING / name, ignore_errors=True)


def _tidy(working: Path, names: Set[str]) -> None:
    """Delete what an interrupted process has left of series that are served, gone, or no longer looked at."""
    for folder in working.iterdir() if working.is_dir() else ():
        if folder.name not in names:
            shutil.rmtree(folder, ignore_errors=True)


def _tried(folder: Path) -> int:
    """How often a series was begun, and neither finished nor stopped on purpose."""
    path = folder / TRIED
    return int(path.read_text(encoding="utf-8")) if path.is_file() else 0


def _served(path: Path) -> Iterator[tuple[str, int]]:
    """Hashes of the series in a file, and how many objects they had; a line that was cut off counts as not there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in filter(None, lines):
        try:
            made = json.loads(line)
            yield made["series"], made.get("objects", 0)
        except (ValueError, KeyError):
            logger.warning(f"{path} has a line that is none: its series is done again")
