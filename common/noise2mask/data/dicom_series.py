"""The files of one DICOM volume, in the order of its slices.

A folder may hold a dynamic examination: several series, or one series with several images at each position. Each point
in time is a phase; phases are counted from 0 in the order of series number and time.

Legend: P phases, D slices.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import itk
import numpy as np

from .slice_line import check_line, normal_of

VOLUMES = set("CT MR PT NM".split())  # modalities whose images are slices of one volume
NO_IMAGES = set("SEG SR PR KO REG RTSTRUCT RTPLAN RTDOSE DOC PLAN".split())  # modalities
PATIENT, STUDY = "0010|0020", "0020|000d"
SERIES, SERIES_NUMBER, INSTANCE = "0020|000e", "0020|0011", "0020|0013"
POSITION, ORIENTATION = "0020|0032", "0020|0037"
SPACING, CLASS, MODALITY, ROWS, COLUMNS = "0028|0030", "0008|0016", "0008|0060", "0028|0010", "0028|0011"
ENHANCED = {f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.4", "6.2")}  # say it of each frame
TIMES = ("0020|0100", "0008|0032")  # temporal position identifier, acquisition time
GAP = 0.05  # share by which distances between slices may differ
KNOWN = (
    PATIENT,
    STUDY,
    SERIES,
    SERIES_NUMBER,
    INSTANCE,
    POSITION,
    ORIENTATION,
    SPACING,
    CLASS,
    MODALITY,
    ROWS,
    COLUMNS,
    *TIMES,
)


class _Slice(NamedTuple):
    path: str
    study: tuple[str, str]  # patient and study
    series: tuple[float, str]  # number, unique identifier
    modality: str
    size: tuple[str, ...]  # rows, columns
    place: np.ndarray | None  # x y z of the first pixel, mm
    orientation: np.ndarray | None  # directions of rows and columns
    position: float  # mm along the normal
    time: tuple[float, ...]  # within the series: what is known of TIMES, then the instance's number


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM: "DICM" after 128 bytes."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def is_dicom_folder(path: str | Path) -> bool:
    """Whether a folder holds at least one DICOM file."""
    return Path(path).is_dir() and any(is_dicom(file) for file in Path(path).iterdir())


def is_measured(path: str | Path) -> bool:
    """Whether a voxel's size is known: not that of DICOM without spacing or position, such as stills of ultrasound."""
    files = sorted(Path(path).iterdir()) if Path(path).is_dir() else [Path(path)]
    dicom = next((file for file in files if is_dicom(file)), None)
    if dicom is None:
        return True
    tags = _tags(dicom)
    return {SPACING, POSITION} <= tags.keys() or tags.get(CLASS, "").strip("\0") in ENHANCED


def phase_files(folder: str | Path, phase: int = 0) -> list[str]:
    """Files of one phase, along the normal of its slices; the only one, whatever `phase` is, where there is one.

    Raises:
        ValueError: where the folder has no DICOM file, no such phase, phases of different numbers of slices, shifted
            slices, objects that are no images, or images of several patients, studies, or examinations of one image.
    """
    slices = [_slice(path) for path in sorted(Path(folder).iterdir()) if is_dicom(path)]
    if not slices:
        raise ValueError(f"{folder} holds no DICOM file: give the folder of one volume.")
    _check_slices(slices, folder)
    phases = [files for series in _by(slices, "series").values() for files in _phases(series, folder)]
    depths = sorted({len(files) for files in phases})
    if len(depths) > 1:
        raise ValueError(f"{folder} has series of {depths} slices; expected one examination: keep its files alone.")
    if len(phases) == 1:
        return phases[0]
    if not 0 <= phase < len(phases):
        raise ValueError(f"{folder} has {len(phases)} phases, 0 to {len(phases) - 1}, but phase is {phase}: change it.")
    return phases[phase]


def _check_slices(slices: list[_Slice], folder: str | Path) -> None:
    """Refuse what is not one examination by slices."""
    if others := sorted({slice_.modality for slice_ in slices} & NO_IMAGES):
        raise ValueError(f"{folder} holds objects of modality {', '.join(others)} among the images: leave them out.")
    if len({slice_.study for slice_ in slices}) > 1:
        raise ValueError(f"{folder} holds images of several patients or studies; expected one: give them apart.")
    if len(slices) == len({slice_.series for slice_ in slices}) > 1:
        raise ValueError(f"{folder} holds {len(slices)} series of one image each; expected one: give them apart.")
    if len(sizes := {slice_.size for slice_ in slices}) > 1:
        raise ValueError(f"{folder} holds images of {len(sizes)} sizes; expected those of one volume: give them apart.")
    places = {slice_.position for slice_ in slices if slice_.place is not None}
    if slices[0].modality not in VOLUMES and len(slices) > max(1, len(places)):
        raise ValueError(f"{folder} holds {len(slices)} stills or clips; expected one: give each a folder of its own.")


def _phases(series: list[_Slice], folder: str | Path) -> list[list[str]]:
    """P lists of D files of one series."""
    positions = _by(series, "position")
    counts = {len(slices) for slices in positions.values()}
    if len(counts) > 1:
        raise ValueError(f"{folder} has {min(counts)} to {max(counts)} images per position: some files are missing.")
    gaps = np.diff(list(positions))
    if len(gaps) and gaps.max() > gaps.min() * (1 + GAP):
        raise ValueError(f"{folder} has gaps of {gaps.min():g} to {gaps.max():g} mm between slices: a file is missing.")
    _check_line(series, folder)
    in_time = [sorted(slices, key=lambda slice_: slice_.time) for slices in positions.values()]
    return [[slices[p].path for slices in in_time] for p in range(counts.pop())]


def _check_line(series: list[_Slice], folder: str | Path) -> None:
    places = [(slice_.place, slice_.orientation) for slice_ in series if slice_.place is not None]
    if len(places) == len(series):
        try:
            check_line(*map(np.array, zip(*places, strict=True)))
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error


def _by(slices: list[_Slice], field: str) -> dict[Any, list[_Slice]]:
    """Groups in ascending order of a field."""
    groups: dict[Any, list[_Slice]] = {}
    for slice_ in sorted(slices, key=lambda slice_: getattr(slice_, field)):
        groups.setdefault(getattr(slice_, field), []).append(slice_)
    return groups


def _slice(path: Path) -> _Slice:
    """What the header says.

    Raises:
        ValueError: where it can not be read; it names the file.
    """
    try:
        return _parsed(path)
    except (RuntimeError, ValueError) as error:  # ITK's, and words where numbers should be
        raise ValueError(f"{path} has a DICOM header, or pixels, that can not be read: replace the file.") from error


def _parsed(path: Path) -> _Slice:
    header = _tags(path)
    time = tuple(_number(header, key) for key in (*TIMES, INSTANCE))
    study = (header.get(PATIENT, ""), header.get(STUDY, ""))
    series = (_number(header, SERIES_NUMBER), header.get(SERIES, ""))
    size = (header.get(ROWS, ""), header.get(COLUMNS, ""))
    place, orientation = (_vector(header.get(key)) for key in (POSITION, ORIENTATION))
    if place is None or orientation is None:
        place, orientation, position = None, None, _number(header, INSTANCE)
    else:
        position = round(float(normal_of(orientation) @ place), 3)  # to 1 um, so that equal ones are equal
    return _Slice(str(path), study, series, header.get(MODALITY, ""), size, place, orientation, position, time)


def _tags(path: Path) -> dict[str, str]:
    """What of KNOWN a file says; ITK does not look into sequences."""
    reader = itk.GDCMImageIO.New()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    tags = reader.GetMetaDataDictionary()  # the reader's own: gone with it
    return {key: tags[key].strip() for key in KNOWN if tags.HasKey(key)}


def _vector(text: str | None) -> np.ndarray | None:
    return np.array(text.split("\\"), dtype=float) if text else None


def _number(header: Mapping[str, str], key: str) -> float:
    return float(header.get(key) or 0)
