"""How far the segmentation of a synthetic tile agrees with the mask that the tile was made for.

DiffusionDCI's clinicians looked at every tile; this number, of a segmenter that was trained on real tiles alone, stands
in for them. It is made of the counts in the cases.csv of that segmenter's evaluation.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ..data.layout_files import stem_of
from ..data.problems import refuse
from ..digest import sha256
from ..metrics.overlap import Counts, overlap
from .read_table import read_table

RULE = (
    "agreement: mean IoU of segmentation and mask over the scored structures that either of them has; a structure in "
    "only one of them counts 0; where neither has any it is 1"
)
NUMBERS = Counts._fields


def agreement_of(structures: Iterable[Counts]) -> float:
    """By `RULE`. Structures in neither count 1 in scores; here they would favour tiles of few classes."""
    found = [overlap(counts)["iou"] for counts in structures if any(counts)]
    return fmean(found) if found else 1.0


def agreements(cases: Sequence[Path], folder: Path, images: Mapping[str, Path]) -> dict[str, float]:
    """Agreement of every tile, by stem.

    Args:
        cases:  cases.csv of evaluations that have all tiles between them.
        folder: of the tiles.
        images: its images by stem.

    Raises:
        ValueError: with all problems: tiles without a line, lines without a tile, twice or of another file, numbers
            that are none, a segmenter that was trained on the tiles.
    """
    counts: dict[str, dict[str, Counts]] = {stem: {} for stem in images}
    problems: dict[str, None] = {}  # in order, each once: an image has a line per structure
    for path in cases:
        for line, row in read_table(path, ("image", *NUMBERS), "the cases.csv of an evaluation"):
            stem, structure = stem_of(row["image"]) or row["image"], row.get("structure", "")
            if problem := _unfit(row, stem, images):
                problems[f"{path}: {problem}"] = None
            elif structure in counts[stem]:
                problems[f"{path}, line {line}: {stem} has such a line already: give each section once."] = None
            if stem in counts:
                counts[stem][structure] = Counts(*(int(row[n]) if row[n].isdecimal() else 0 for n in NUMBERS))
    problems |= dict.fromkeys(_without_line(counts, images))
    refuse(f"the tiles of {folder} can not be ranked", list(problems))
    return {stem: agreement_of(own.values()) for stem, own in counts.items()}


def _unfit(row: Mapping[str, str], stem: str, images: Mapping[str, Path]) -> str | None:
    """What makes a line unfit for the tiles, if anything does."""
    if stem not in images:
        return f"{stem} is not in images/: evaluate on this folder, or put the tile back."
    scored = Path(row["image"])
    if scored.is_file() and not scored.samefile(images[stem]) and sha256(scored) != sha256(images[stem]):
        return f"{scored} is another image than {images[stem]}: evaluate on this folder."
    if row.get("trained_on") == "1":
        return f"the segmenter was trained on {stem}; expected one that has seen real tiles alone: take another."
    if not all(row[name].isdecimal() for name in NUMBERS):
        found = ", ".join(f"{name} {row[name]!r}" for name in NUMBERS)
        return f"{stem} has {found}; expected whole numbers: evaluate again."
    return None


def _without_line(counts: Mapping[str, Mapping[str, Counts]], images: Mapping[str, Path]) -> Iterator[str]:
    """Tiles that were not evaluated, or not in every structure that others have."""
    names = sorted({name for own in counts.values() for name in own})
    for stem, own in counts.items():
        lost = [name for name in names if name not in own]
        if lost or not own:
            of = f" of {' and '.join(lost)}" if own else ""
            yield f"images/{images[stem].name} has no line{of} in cases.csv: evaluate every section, and give them all."
