"""Files of a generated demonstration data set: a plain folder with a manifest, or the form of the BUSI download.

Whatever the pictures show, they are written in one of two layouts. "folder": `images/<kind>_<number>.png`, `masks/`
with the same names (0 or 255, several lesions joined) and `manifest.csv` (image, patient, split), split by patient,
kinds in equal shares. "busi": `<kind>/<kind> (1).png`, `<kind> (1)_mask.png`, `<kind> (1)_mask_1.png` for a second
lesion, as the data set of Al-Dhabyani et al. (Data in Brief 28:104863, 2020) is packed: three equal channels, an
all-zero mask where there is no lesion, and no word about the patient. `demo.json` holds the arguments: a folder with
other content is never written to.

Legend: H W rows and columns of the picture.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .splits import FRACTIONS, KEYS, cut

__all__ = ["LAYOUTS", "MARKER", "Case", "balanced_order", "claim_folder", "write_cases"]

LAYOUTS = ("folder", "busi")
MARKER = "demo.json"


class Case(NamedTuple):
    """One picture, one mask per lesion (none in a normal picture), and what it shows."""

    image: np.ndarray  # (H, W) uint8
    masks: list[np.ndarray]  # each (H, W) bool
    kind: str


def write_cases(folder: str | os.PathLike, cases: Iterable[tuple[int, Case]], layout: str, arguments: dict) -> Path:
    """Write (patient, case) pairs to `folder` in one of LAYOUTS; `arguments` (how they were made) go to demo.json."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
    folder = claim_folder(folder, {**arguments, "layout": layout})
    write = write_busi if layout == "busi" else write_folder
    write(folder, numbered(cases), arguments.get("seed", 0))
    return folder


def claim_folder(folder: str | os.PathLike, arguments: dict) -> Path:
    """Create `folder` with its demo.json, or accept it as it is when it was made with the same arguments."""
    folder, text = Path(folder), json.dumps(arguments, indent=2, sort_keys=True) + "\n"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, expected a folder to write to: choose another output folder")
    marker = folder / MARKER
    if folder.is_dir() and any(folder.iterdir()):
        found = marker.read_text(encoding="utf-8") if marker.is_file() else None
        if found is None:
            names = ", ".join(sorted(path.name for path in folder.iterdir())[:3])
            raise ValueError(f"{folder} is not empty (it holds {names}): choose an empty or a new output folder")
        if found != text:
            raise ValueError(f"{folder} was made with other arguments (see {marker}): choose another output folder")
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(text, encoding="utf-8", newline="\n")
    return folder


def numbered(cases: Iterable[tuple[int, Case]]) -> Iterator[tuple[int, int, Case]]:
    """Count the cases of each kind from 1, in order: (patient, number, case)."""
    counts: dict[str, int] = {}
    for patient, case in cases:
        counts[case.kind] = counts.get(case.kind, 0) + 1
        yield patient, counts[case.kind], case


def write_busi(folder: Path, cases: Iterable[tuple[int, int, Case]], seed: int) -> None:
    """Write one folder per kind with mask files beside the pictures, one file per lesion."""
    for _, number, case in cases:
        stem = folder / case.kind / f"{case.kind} ({number})"
        stem.parent.mkdir(exist_ok=True)
        save_png(f"{stem}.png", np.repeat(case.image[..., None], 3, axis=2))
        for i, mask in enumerate(case.masks or [np.zeros(case.image.shape, bool)]):
            save_png(f"{stem}_mask{f'_{i}' if i else ''}.png", mask)


def write_folder(folder: Path, cases: Iterable[tuple[int, int, Case]], seed: int) -> None:
    """Write images/, masks/ and manifest.csv."""
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)
    rows, kinds = [], {}
    for patient, number, case in cases:
        stem = f"{case.kind}_{number:03d}"
        save_png(folder / "images" / f"{stem}.png", case.image)
        save_png(folder / "masks" / f"{stem}.png", np.any([np.zeros(case.image.shape, bool), *case.masks], axis=0))
        rows.append((stem, patient))
        kinds[patient] = case.kind
    parts = cut(balanced_order(kinds, seed), FRACTIONS)
    split = {patient: key for key, part in zip(KEYS, parts, strict=True) for patient in part}
    with open(folder / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("image", "patient", "split"))
        table.writerows((stem, f"p{patient:04d}", split[patient]) for stem, patient in rows)


def balanced_order(kinds: dict[int, str], seed: int) -> list[int]:
    """Shuffle the patients so that every stretch of the list has about the same share of each kind."""
    rng, place = np.random.default_rng(seed), {}
    for kind in sorted(set(kinds.values())):
        members = [patient for patient, other in kinds.items() if other == kind]
        for i, j in enumerate(rng.permutation(len(members))):
            place[members[j]] = (i + rng.random()) / len(members)
    return sorted(place, key=place.__getitem__)


def save_png(path: str | os.PathLike, array: np.ndarray) -> None:
    """Save a grey (H, W), colour (H, W, 3) or boolean (0 or 255) array."""
    values = array.astype(np.uint8) * 255 if array.dtype == bool else array
    Image.fromarray(values).save(path)
