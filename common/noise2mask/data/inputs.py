"""What to segment: one file, a folder of files, or a datalist."""

from pathlib import Path

from .datalist import load_datalist
from .dicom_series import is_dicom_folder
from .reader import NIFTI, PICTURES

ENDINGS = (*PICTURES, *NIFTI, ".nrrd", ".mha", ".mhd")


def find_inputs(path: str | Path, key: str = "testing") -> list[dict[str, str]]:
    """Items {"image": path} for inference.

    Args:
        path: a picture or volume (a file, or a folder of its DICOM files), a folder of them (not searched deeper), or a
              datalist (.json).
        key:  which section of a datalist.

    Raises:
        ValueError: where there is nothing at `path`, or nothing that can be read; it names the path.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist: give an image, a folder of images, or a datalist.")
    if path.suffix == ".json":
        return [{"image": item["image"]} for item in load_datalist(path, key)]
    if path.is_file() or is_dicom_folder(path):
        return [{"image": str(path)}]
    seen = (file for file in path.iterdir() if not file.name.startswith("."))
    files = sorted(str(file) for file in seen if file.name.lower().endswith(ENDINGS) or is_dicom_folder(file))
    if not files:
        raise ValueError(f"{path} holds no image ({', '.join(ENDINGS)}): give the folder that does.")
    return [{"image": file} for file in files]
