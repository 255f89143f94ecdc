"""Prepared images and masks as a raw data set of nnU-Net, so that it learns from exactly what our networks learn from.

Files are NIfTI, one per channel; a picture is a volume of one slice. nnU-Net knows masks as maps of one number per
pixel: where structures overlap, each combination of them has a number, and each structure is a region of several. Masks
of exclusive structures may leave pixels without any label: these get the highest number, which nnU-Net ignores.

Legend: C channels, K classes, H W rows and columns, D slices, ... spatial axes.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from torch import Tensor

from ..files import check_writable
from ..meta import without_meta

NAME = "Dataset001_noise2mask"  # nnU-Net wants this form
FOLDERS = ("raw", "preprocessed", "results")  # of nnU-Net, each with a folder of every data set
ENDING = ".nii.gz"
SINGLE = "structure"  # name of the only one, where masks have one
RESERVED = ("background", "ignore")  # names that mean something to nnU-Net
BETWEEN_PICTURES = (
    999.0  # so far from the next slice that nnU-Net takes each by itself, as its own reader of pictures does
)


def clear_dataset(work: str | Path) -> None:
    """Delete what an earlier run has left of this data set; others in the folder are not ours."""
    for name in FOLDERS:
        if (own := Path(work) / name / NAME).exists():
            shutil.rmtree(own)


class Coding(NamedTuple):
    """How masks of several channels become maps of numbers.

    A pixel's code is the sum of 2 ** k over the channels k that it has.
    """

    codes: np.ndarray  # (N,), sorted
    values: np.ndarray  # (N,) uint8, the number of each code
    labels: dict[str, int | list[int]]  # dataset.json's: name -> number, or numbers of a region
    order: list[int] | None  # dataset.json's regions_class_order; None: there are no regions

    def label_map(self, label: Tensor) -> np.ndarray:
        """(K, ...) in {0, 1} -> (...) uint8."""
        return self.values[np.searchsorted(self.codes, codes_of(label))]


def codes_of(label: Tensor) -> np.ndarray:
    """(K, ...) in {0, 1} -> (...) int64, sums of 2 ** k."""
    channels = without_meta(label).numpy().astype(bool)  # (K, ...)
    return sum(channel.astype(np.int64) << k for k, channel in enumerate(channels))


def exclusive_coding(found: Collection[int], names: Sequence[str]) -> Coding:
    """Channel 0 is the background, channel k the k-th structure; of the code 0, which has none, nothing is known.

    Args:
        found: codes that masks hold.
        names: of the structures.
    """
    unlabelled = [0] if 0 in found else []
    codes = np.array([*unlabelled, *(1 << k for k in range(len(names) + 1))])
    values = np.array([*(len(names) + 1 for _ in unlabelled), *range(len(names) + 1)], np.uint8)
    labels: dict[str, int | list[int]] = {"background": 0, **{name: k for k, name in enumerate(names, start=1)}}
    return Coding(codes, values, labels | ({"ignore": len(names) + 1} if unlabelled else {}), None)


def overlapping_coding(found: Collection[int], names: Sequence[str]) -> Coding:
    """Each combination of structures has a number, those of few structures first, so that nested ones come in order.

    Args:
        found: codes that masks hold.
        names: of the structures, one per channel.
    """
    unseen = {1 << k for k in range(len(names)) if not any(code >> k & 1 for code in found)}
    numbered = sorted({*found, *unseen} - {0}, key=lambda code: (int(code).bit_count(), code))
    regions = [[n for n, code in enumerate(numbered, start=1) if code >> k & 1] for k in range(len(names))]
    labels = {name: own[0] if len(own) == 1 else own for name, own in zip(names, regions, strict=True)}
    number = {0: 0, **{code: n for n, code in enumerate(numbered, start=1)}}
    codes = np.array(sorted(number))
    order = [own[0] for own in regions] if any(len(own) > 1 for own in regions) else None
    return Coding(codes, np.array([number[code] for code in codes], np.uint8), {"background": 0, **labels}, order)


def coding_of(labels: Iterable[Tensor], structures: Sequence[str] | None, exclusive: bool) -> Coding:
    """The coding that all masks (K, ...) need.

    Raises:
        ValueError: where a structure has a name that means something else to nnU-Net, or there are too many numbers.
    """
    names = [SINGLE] if structures is None else list(structures)
    if taken := [name for name in names if name in RESERVED]:
        raise ValueError(f"A structure is called {taken[0]!r}, which nnU-Net gives a meaning of its own: rename it.")
    found = {int(code) for label in labels for code in np.unique(codes_of(label))}
    if len(found) + len(names) > 250:
        raise ValueError(f"The masks hold {len(found)} combinations of structures, nnU-Net takes 250: leave some out.")
    return exclusive_coding(found, names) if exclusive else overlapping_coding(found, names)


def write_dataset(
    raw: str | Path,
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    structures: Sequence[str] | None = None,
    exclusive: bool = False,
) -> Path:
    """Write images, masks, dataset.json and splits_final.json, whose only fold has our training and our validation.

    Args:
        raw:        nnU-Net's folder of raw data sets, in which this becomes one.
        training:   prepared items, `image` (C, H, W[, D]) and `label` (K, H, W[, D]) in {0, 1}; all pictures, or all
                    volumes, which may differ in size.
        validation: the same.
        structures: names of the channels, of several; None: masks have one channel.
        exclusive:  channel 0 is the background, before those of the structures; a pixel without any is not labelled.

    Returns:
        The data set's folder.

    Raises:
        ValueError: as `coding_of`, and where the folder can not be written to, or images differ in their channels.
    """
    folder = Path(raw) / NAME
    for name in ("imagesTr", "labelsTr"):
        check_writable(folder / name)
    sections = {"train": ("training", training), "val": ("validation", validation)}
    coding = coding_of((item["label"] for _, items in sections.values() for item in items), structures, exclusive)
    spacing = median_spacing(training)
    split: dict[str, list[str]] = {key: [] for key in sections}
    channels = set()
    for key, (section, items) in sections.items():
        for number, item in enumerate(items):
            case = f"{section}_{number:05d}"
            _write_case(folder, case, item, coding, spacing)
            split[key].append(case)
            channels.add(len(item["image"]))
    if len(channels) > 1:
        raise ValueError(f"The images have {' or '.join(map(str, sorted(channels)))} channels, expected one number.")
    _write_json(folder / "dataset.json", dataset_json(coding, channels.pop(), sum(map(len, split.values()))))
    _write_json(folder / "splits_final.json", [split])
    return folder


def dataset_json(coding: Coding, channels: int, cases: int) -> dict[str, Any]:
    """What nnU-Net must know of a data set; channels by other names than CT get mean 0 and deviation 1."""
    content = {
        "channel_names": {str(c): f"channel {c}" for c in range(channels)},
        "labels": coding.labels,
        "numTraining": cases,
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "NibabelIO",
    }
    return content if coding.order is None else content | {"regions_class_order": coding.order}


def median_spacing(items: Sequence[Mapping[str, Any]]) -> list[float]:
    """Of rows, columns and slices, in mm where that is known; the same for all, so that nnU-Net resamples none.

    Pixels of pictures count as squares, whatever became of them at the network's size.
    """
    if items[0]["image"].ndim == 3:
        return [1.0, 1.0, BETWEEN_PICTURES]
    affines = [np.asarray(getattr(item["image"], "affine", np.eye(4))) for item in items]
    return np.median([np.linalg.norm(affine[:3, :3], axis=0) for affine in affines], axis=0).tolist()


def as_volume(image: Tensor) -> Tensor:
    """(C, H, W[, D]) -> (C, H, W, D), a picture as one slice; without MONAI's meta data."""
    image = without_meta(image)
    return image[..., None] if image.ndim == 3 else image


def _write_case(folder: Path, case: str, item: Mapping[str, Any], coding: Coding, spacing: Sequence[float]) -> None:
    """One file per channel, and the map of numbers."""
    for c, channel in enumerate(as_volume(item["image"]).cpu().numpy().astype(np.float32)):
        _write_nifti(folder / "imagesTr" / f"{case}_{c:04d}{ENDING}", channel, spacing)
    numbers = coding.label_map(as_volume(item["label"]).cpu())  # (H, W, D)
    _write_nifti(folder / "labelsTr" / f"{case}{ENDING}", numbers, spacing)


def _write_nifti(path: Path, volume: np.ndarray, spacing: Sequence[float]) -> None:
    """(H, W, D), of which NIfTI has the columns first: nnU-Net reads it as (D, H, W)."""
    rows, columns, slices = spacing
    nibabel.save(nibabel.Nifti1Image(volume.transpose(1, 0, 2), np.diag([columns, rows, slices, 1.0])), path)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
