"""Where the slices of a series lie in space: what would be shown, or seen by a network, wrongly is refused.

Legend: D slices or frames.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from ..data.dicom_series import GAP
from ..data.slice_line import check_line, normal_of

EQUAL = 1e-3  # share by which spacings may differ


class Plane(NamedTuple):
    """A slice or frame; None is what is not known."""

    position: Sequence[float] | None  # x y z of the first pixel, mm
    orientation: Sequence[float] | None  # directions of rows and columns
    spacing: Sequence[float] | None  # between rows and columns, mm

    @property
    def is_placed(self) -> bool:
        """Whether it is known where it lies."""
        return bool(self.position and self.orientation)


def planes(dataset: Dataset) -> list[Plane]:
    """Of one slice, or of the frames of an Enhanced object, in their order."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        return [Plane(*map(dataset.get, ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")))]
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return [_plane([frame, shared]) for frame in groups]


def frames(dataset: Dataset) -> int:
    """How many a file holds."""
    return int(dataset.get("NumberOfFrames") or 1)


def _plane(groups: Sequence[Dataset]) -> Plane:
    def value(sequence: str, keyword: str) -> Any:
        return next((group[sequence][0].get(keyword) for group in groups if group.get(sequence)), None)

    return Plane(
        value("PlanePositionSequence", "ImagePositionPatient"),
        value("PlaneOrientationSequence", "ImageOrientationPatient"),
        value("PixelMeasuresSequence", "PixelSpacing"),
    )


def check_geometry(datasets: Sequence[Dataset]) -> None:
    """Refuse slices that do not make one volume; missing ones are seen by `phase_files`.

    Raises:
        ValueError: where sizes, directions or spacings differ, a gantry is tilted, a slice lies beside the others, or
            frames are not in the order of space.
    """
    if without := sum("Rows" not in dataset or "Columns" not in dataset for dataset in datasets):
        raise ValueError(f"{without} of {len(datasets)} files hold no image: leave them out.")
    sizes = {(dataset.Rows, dataset.Columns) for dataset in datasets}
    if len(sizes) > 1:
        raise ValueError(f"The images have the sizes {sorted(sizes)}, expected one: leave out localizers.")
    if len(datasets) > 1 and any(frames(dataset) > 1 for dataset in datasets):
        raise ValueError(f"There are {len(datasets)} files, some of several frames: give slices and frames apart.")
    of_all = [plane for dataset in datasets for plane in planes(dataset)]
    if placed := [plane for plane in of_all if plane.is_placed]:
        _check_planes(of_all, placed)
        if len(datasets) == 1:
            _check_frames(placed)
    elif len(datasets) > 1:
        raise ValueError(f"There are {len(datasets)} slices without a position: send them again.")


def _check_planes(of_all: Sequence[Plane], placed: Sequence[Plane]) -> None:
    if len(placed) < len(of_all):
        raise ValueError(f"{len(of_all) - len(placed)} of {len(of_all)} images have no position: send them again.")
    check_line(_array(placed, "position"), _array(placed, "orientation"))
    spacings = sorted({tuple(map(float, plane.spacing or ())) for plane in placed})
    if len({len(spacing) for spacing in spacings}) > 1 or not np.allclose(spacings, spacings[0], rtol=EQUAL):
        raise ValueError(f"The images have the pixel spacings {spacings}, expected one: give them apart.")


def _array(placed: Sequence[Plane], name: str) -> np.ndarray:
    """Of all planes: (D, 3) or (D, 6)."""
    return np.array([getattr(plane, name) for plane in placed], dtype=float)


def _check_frames(placed: Sequence[Plane]) -> None:
    """Refuse frames that are not stored in the order of space: the reader takes them as they are stored."""
    steps = np.diff(_array(placed, "position") @ normal_of(_array(placed, "orientation")[0]))
    gaps = steps * (np.sign(steps[0]) if len(steps) else 1)
    if len(gaps) and (gaps.min() <= 0 or gaps.max() > gaps.min() * (1 + GAP)):
        found = f"The frames follow one another in steps of {steps.min():g} to {steps.max():g} mm"
        raise ValueError(f"{found}, expected equal ones: convert them to a file for each slice, all of one phase.")
