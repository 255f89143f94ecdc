"""Which cases of a report have pictures, and why others have none."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..explain.case_file import FOLDER, CaseRecord, case_names, case_path, read_case
from .layers import case_layers, check_record, thumbnail
from .sources import Case

logger = logging.getLogger(__name__)

MOST_BYTES = 29_500_000  # of a page with its pictures: below 30 MB, with room for why some are missing
NAMED = 10  # cases without pictures that the console names
LEFT_OUT = "no pictures, so that the page stays below 30 MB: the worst and the most uncertain cases have them"


class Pictures(NamedTuple):
    """Of one case."""

    layers: str  # JSON, for the viewer; empty: none
    small: str  # data URI
    missing: str  # why there are none; empty: they are there


def read_pictures(
    folder: Path, cases: Sequence[Case], order: Sequence[int], run: str | None = None, most: int = MOST_BYTES
) -> list[Pictures]:
    """Of every case, in the order of the cases.

    Args:
        folder: output folder of the results.
        cases:  of the results.
        order:  numbers of the cases, by who needs pictures most.
        run:    digest of the run that made the results; None: not known.
        most:   bytes of all of them, what there is room for in a page.
    """
    found: dict[int, Pictures] = {}
    left, names = most, case_names([case.image for case in cases])
    for i in order:
        pictures = _pictures(folder, cases[i].image, names, run) if left else Pictures("", "", LEFT_OUT)
        size = len(pictures.layers) + len(pictures.small)
        fits = size <= left
        found[i] = pictures if fits else Pictures("", "", LEFT_OUT)
        left = left - size if fits else 0  # nothing after the first that does not fit: what is left out is the end
    _tell(folder, [(cases[i].image, found[i].missing) for i in order if found[i].missing])
    return [found[i] for i in range(len(cases))]


def _pictures(folder: Path, image: str, names: Mapping[str, str], run: str | None) -> Pictures:
    try:
        record = read_case(case_path(folder, names[image]))
        _check_same(record, image, names, run)
        check_record(record)
        return Pictures(json.dumps(case_layers(record)), thumbnail(record), "")
    except ValueError as error:
        return Pictures("", "", f"no pictures: {error}")


def _check_same(record: CaseRecord, image: str, names: Mapping[str, str], run: str | None) -> None:
    """See that it is not of another image or run, whose pictures would stand beside this one's scores.

    Images in a folder that was moved have other paths and the same names: they are the same, unless a path is that of
    another image of these results.
    """
    found, name = str(record.facts.get("image", "")), names[image]
    if found != image and (found in names or Path(found).name != Path(image).name):
        raise ValueError(f"{FOLDER}/{name}.npz is of {found}: segment or evaluate again.")
    if run is not None and record.facts.get("run", run) != run:
        raise ValueError(f"{FOLDER}/{name}.npz was made with other weights or settings: segment or evaluate again.")


def _tell(folder: Path, missing: Sequence[tuple[str, str]]) -> None:
    """On the console, the first ones by name."""
    for image, why in missing[:NAMED]:
        logger.warning(f"{Path(image).name}: {why}")
    if len(missing) > NAMED:
        logger.warning(f"{len(missing) - NAMED} more cases of {folder} have no pictures; the page says why.")
