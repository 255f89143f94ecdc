"""A DICOM series that may be segmented: found among files, checked, and laid out for the reader.

What a viewer would show wrongly, or a network would see wrongly, is refused with the reason: a tilted gantry, a missing
slice, two series in one folder, an encoding that can not be read.

Legend: D slices or frames, in the order in which the reader stacks them.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..data.dicom_series import is_dicom, phase_files
from .geometry import check_geometry
from .headers import PLAIN, discreet, header

NO_IMAGES = set("SEG SR PR KO REG RTSTRUCT RTPLAN RTDOSE DOC PLAN".split())  # modalities
READ = PLAIN | {  # transfer syntaxes that GDCM (ITK 5.4) reads: JPEG, JPEG-LS, JPEG 2000, run lengths
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
}  # fmt: skip


class Series(NamedTuple):
    """A checked series."""

    folder: Path  # holds its files alone; its name is `name`
    name: str  # a hash: nothing of it leads back to a patient
    datasets: list[Dataset]  # headers of its files in the reader's order

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return str(self.datasets[0].SeriesInstanceUID)


def hashed(uid: str) -> str:
    """A study's or series' UID as it may stand in logs, file names and reports: 16 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def stage(files: Sequence[Path], work: Path, phase: int = 0) -> Series:
    """Check files as one series, and lay them out in a folder of its own.

    Args:
        files: everything that was received: DICOM files, and others, which are left aside.
        work:  where the folder is made; what stands there under its name is replaced.
        phase: which point in time of a dynamic series is segmented, as for `GreyReader`.

    Raises:
        ValueError: where there is not exactly one series of images, or it can not be segmented; it says why.
    """
    with discreet():
        headers = _headers(files)
        check_series(headers)
    name = hashed(str(headers[0][1].SeriesInstanceUID))
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    of_file: dict[str, Dataset] = {}
    for number, (path, dataset) in enumerate(headers):
        copy = folder / f"{number:05d}.dcm"  # names of files may be those of patients
        shutil.copyfile(path, copy)
        of_file[str(copy)] = dataset
    return Series(folder, name, [of_file[path] for path in phase_files(folder, phase)])


def _headers(files: Sequence[Path]) -> list[tuple[Path, Dataset]]:
    """Of the DICOM files among some; of an object that is there twice, the first."""
    found: dict[str, tuple[Path, Dataset]] = {}
    for path in sorted(files):
        if is_dicom(path) and (dataset := header(path)) is not None:
            found.setdefault(str(dataset.SOPInstanceUID), (path, dataset))
    if not found:
        raise ValueError("There is no DICOM file; expected those of one series: give another folder.")
    return list(found.values())


def check_series(headers: Sequence[tuple[Path, Dataset]]) -> None:
    """Refuse files that are not one series, or that a viewer would show, or a network see, wrongly."""
    datasets = [dataset for _, dataset in headers]
    check_one_series(datasets)
    for path, dataset in headers:
        check_encoding(path, dataset)
    check_geometry(datasets)
    for dataset in datasets:  # directions that differ by a rounding are not equal to highdicom
        if dataset.get("ImageOrientationPatient"):
            dataset.ImageOrientationPatient = datasets[0].ImageOrientationPatient


def check_one_series(datasets: Sequence[Dataset]) -> None:
    """Refuse files that are no images, and more than one series."""
    others = sorted({str(dataset.Modality) for dataset in datasets if dataset.Modality in NO_IMAGES})
    if others:
        raise ValueError(f"There are objects of modality {', '.join(others)} among the images: leave them out.")
    series = sorted({hashed(str(dataset.SeriesInstanceUID)) for dataset in datasets})
    if len(series) > 1:
        raise ValueError(f"There are {len(series)} series ({', '.join(series)}), expected one: give one alone.")


def check_encoding(path: Path, dataset: Dataset) -> None:
    """Refuse a transfer syntax that can not be read."""
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    if syntax not in READ:
        raise ValueError(f"{path} is encoded as {syntax.name} ({syntax}), which can not be read: convert it.")
