"""The layouts of data sets that are known, and how to tell one from the other."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .layout_amos22 import amos22_datalist, is_amos22
from .layout_brats2021 import MODALITIES, brats2021_datalist, is_brats2021
from .layout_btcv import btcv_datalist, is_btcv
from .layout_busi import INNER, KINDS, busi_datalist
from .layout_ddti import ddti_datalist, is_tn3k
from .layout_decathlon import DATASET, decathlon_datalist, is_nnunet, nnunet_datalist
from .layout_folder import folder_datalist
from .layout_isic import YEARS, isic_datalist
from .layout_nact import nact_datalist
from .layout_refuge2 import is_refuge2, refuge2_datalist
from .mixed import mixed_datalist

FILE = "datalist.json"  # of a data set's own folder
LAYOUTS: dict[str, Callable[..., dict]] = {
    "folder": folder_datalist,
    "busi": busi_datalist,
    "nact": nact_datalist,
    "decathlon": decathlon_datalist,
    "nnunet": nnunet_datalist,
    "ddti": ddti_datalist,
    "refuge2": refuge2_datalist,
    "isic": isic_datalist,
    "brats2021": brats2021_datalist,
    "amos22": amos22_datalist,
    "btcv": btcv_datalist,
    "mixed": lambda folder: mixed_datalist(folder, lambda path: LAYOUTS[layout_of(path)](path)),
}

# Values of masks that hold several classes: what is segmented, and all others; masks of other layouts are binary.
MASK_VALUES: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    "ddti": (range(128, 256), range(128)),  # TN3K's JPEG
    "refuge2": ((0,), (128, 255)),  # the cup; the disc is 0 and 128
    "brats2021": ((1, 2, 4), (0,)),  # the whole tumour
    "amos22": (range(1, 16), (0,)),  # all organs
    "btcv": (range(1, 14), (0,)),
    "mixed": (range(128, 256), range(128)),  # some may be JPEG
}

SHOWN = {"brats2021": MODALITIES.index("flair")}  # of several modalities the one to look at; the first else


def layout_of(path: str | os.PathLike) -> str:
    """The layout that a folder shows, or that a datalist was made from; "folder" where there is none.

    NACT looks like a plain folder, and a mixture like none: they have to be named.

    Raises:
        ValueError: where there is nothing at the path.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"data set {path} does not exist: check the path.")
    for file in (path, path / FILE):
        if file.is_file():
            return _named(file)
    if is_amos22(path):  # it has a dataset.json as well
        return "amos22"
    if (path / DATASET).is_file():
        return "nnunet" if is_nnunet(path) else "decathlon"
    seen = {"ddti": is_tn3k(path), "refuge2": is_refuge2(path), "brats2021": is_brats2021(path)}
    seen["btcv"] = is_btcv(path)
    seen["isic"] = any((path / parts["training"][0]).is_dir() for parts in YEARS.values())
    if any(seen.values()):
        return next(name for name, there in seen.items() if there)
    kinds = [(root / kind).is_dir() for root in (path, path / INNER) for kind in KINDS]
    return "busi" if any(kinds) else "folder"


def _named(datalist: Path) -> str:
    """The layout that a datalist was made from, where it says so."""
    try:
        name = json.loads(datalist.read_text(encoding="utf-8"))["layout"]
    except (ValueError, TypeError, KeyError):  # whoever reads it next says what is wrong
        return "folder"
    return name if name in LAYOUTS else "folder"
