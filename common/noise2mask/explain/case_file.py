"""What one image was given and what came out, small enough to be kept of every case: reports and figures read it.

Everything is of the network's size, with rows first, as viewers show it. Of a volume some slices are kept.

Legend: C channels shown (1, or red, green and blue), N samples, T steps shown, H W size, D slices kept; every array is
uint8.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.results import stem
from ..files import atomic_file

FOLDER = "cases"  # in an output folder
MOST_SLICES = 32  # kept of a volume, evenly spread
MOST_STEPS = 8  # as many as the papers' figures show
UNLABELLED = 255  # in a label: nobody said what this is


class CaseRecord(NamedTuple):
    """One case."""

    image: np.ndarray  # (C, H, W[, D])
    mask: np.ndarray  # (H, W[, D]), numbers of structures from 1 up; of one structure 0 and 1
    probability: np.ndarray  # (H, W[, D]), of any structure; 255 is 1
    std: np.ndarray  # (H, W[, D]), over the samples; 255 is 0.5
    entropy: np.ndarray  # (H, W[, D]), of the probability; 255 is the largest that there can be
    samples: np.ndarray  # (N, H, W[, D]), as `mask`
    noisy: np.ndarray  # (T, H, W[, D]), the first sample's noisy mask at each step; 255 is certainly a structure
    clean: np.ndarray  # (T, H, W[, D]), the clean mask estimated there, as `probability`
    timesteps: np.ndarray  # (T,) int64, the noisiest first; none of a network that takes no steps
    label: np.ndarray | None  # (H, W[, D]), as `mask`, and `UNLABELLED`
    # image (its path), triage, structures (names, in order), run (of `run_digest`), and of `placed`, in
    # handlers/save_cases.py: spacing, slices, and of a volume axis and axcodes
    facts: dict[str, Any]


ARRAYS = tuple(name for name in CaseRecord._fields if name != "facts")


def shown_number(record: CaseRecord) -> int:
    """Which of a volume's kept slices is shown: that with most of the mask, or else of the label, or the middle."""
    for numbers in (record.mask, record.label):
        if numbers is not None and (lesion := (numbers > 0) & (numbers != UNLABELLED)).any():
            return int(lesion.sum(axis=(0, 1)).argmax())
    return record.mask.shape[2] // 2


def case_names(images: Sequence[str]) -> dict[str, str]:
    """What files of each image (a path) are called: its name without ending and, where several share that, a digest."""
    stems = {image: stem(image) for image in images}
    shared = {name for name, count in Counter(stems.values()).items() if count > 1}
    return {image: f"{name}_{_short(image)}" if name in shared else name for image, name in stems.items()}


def run_digest(weights: str | None, settings: Mapping[str, Any]) -> str:
    """What tells the cases of one run from those of another: the sha256 of its weights and the inferer's settings."""
    return _short(json.dumps([weights, settings], sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def case_path(folder: Path, name: str) -> Path:
    """Where an output folder has the case of a name of `case_names`."""
    return folder / FOLDER / f"{name}.npz"


def write_case(record: CaseRecord, path: Path) -> Path:
    """Compressed, without a moment at which half of it is there."""
    arrays = {name: array for name in ARRAYS if (array := getattr(record, name)) is not None}
    with atomic_file(path) as file:
        np.savez_compressed(file, facts=np.array(json.dumps(record.facts)), **arrays)
    return path


def read_case(path: Path) -> CaseRecord:
    """A written case.

    Raises:
        ValueError: where the file is missing or damaged; it names the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist, expected a case of noise2mask: segment or evaluate again.")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        facts = dict(json.loads(str(content.pop("facts"))))
        return CaseRecord(**{"label": None, **content}, facts=facts)
    except Exception as error:  # of zip, zlib, NumPy's header and JSON, of many kinds
        kind = type(error).__name__
        raise ValueError(f"{path} is no case of noise2mask ({kind}): segment or evaluate again.") from error
