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

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from ..data.dicom_series import is_dicom, phase_files

TILT = 0.5  # degrees between the normal of the slices and the line through their positions
NO_IMAGES = set("SEG SR PR KO REG RTSTRUCT RTPLAN RTDOSE DOC PLAN".split())  # modalities
PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
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


def stage(files: Sequence[Path], work: Path) -> Series:
    """Check files as one series, and lay them out in a folder of its own.

    Args:
        files: everything that was received: DICOM files, and others, which are left aside.
        work:  where the folder is made; what stands there under its name is replaced.

    Raises:
        ValueError: where there is not exactly one series of images, or it can not be segmented; it says why.
    """
    headers = [(path, header(path)) for path in sorted(files) if is_dicom(path)]
    if not headers:
        raise ValueError("There is no DICOM file; expected those of one series: give another folder.")
    check_one_series([dataset for _, dataset in headers])
    for path, dataset in headers:
        check_encoding(path, dataset)
    check_geometry([dataset for _, dataset in headers])
    name = hashed(str(headers[0][1].SeriesInstanceUID))
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    of_file: dict[str, Dataset] = {}
    for number, (path, dataset) in enumerate(headers):
        copy = folder / f"{number:05d}.dcm"  # names of files may be those of patients
        shutil.copyfile(path, copy)
        of_file[str(copy)] = dataset
    return Series(folder, name, [of_file[path] for path in phase_files(folder)])


def header(path: Path) -> Dataset:
    """What a file says of its image, without the pixels.

    Raises:
        ValueError: where the file is damaged or cut off, or lacks what every image has; it names the file.
    """
    try:
        dataset = pydicom.dcmread(path)  # to the end: a file that is cut off must not pass
        _ = dataset.SOPClassUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality
        if dataset.file_meta.TransferSyntaxUID in PLAIN and "PixelData" in dataset:
            _ = dataset.pixel_array  # complains where bytes are missing
    except (InvalidDicomError, AttributeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no complete DICOM file ({error}): send it again.") from error
    dataset.pop("PixelData", None)
    return dataset


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


def check_geometry(datasets: Sequence[Dataset]) -> None:
    """Refuse slices of several sizes or directions, and a tilted gantry; missing slices are seen by `phase_files`."""
    sizes = {(dataset.Rows, dataset.Columns) for dataset in datasets}
    if len(sizes) > 1:
        raise ValueError(f"The images have the sizes {sorted(sizes)}, expected one: leave out localizers.")
    placed = [made for made in datasets if made.get("ImagePositionPatient") and made.get("ImageOrientationPatient")]
    if not placed:
        return
    if len(placed) < len(datasets):
        raise ValueError(f"{len(datasets) - len(placed)} of {len(datasets)} images have no position: send them again.")
    orientations = np.array([dataset.ImageOrientationPatient for dataset in placed], dtype=float)
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise ValueError("The images are not parallel to one another: leave out localizers.")
    positions = np.array([dataset.ImagePositionPatient for dataset in placed], dtype=float)
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    ends = positions[[(positions @ normal).argmin(), (positions @ normal).argmax()]]
    line = ends[1] - ends[0]
    if (length := np.linalg.norm(line)) == 0:
        return
    tilt = float(np.degrees(np.arccos(min(1.0, abs(line @ normal) / length))))
    if tilt > TILT:
        found = f"The slices are shifted against one another (gantry tilted by {tilt:.1f} degrees)"
        raise ValueError(f"{found}; expected them above one another: resample them.")
