"""The layouts of data sets that are known, and how to tell one from the other."""

import os
from collections.abc import Callable
from pathlib import Path

from .layout_busi import INNER, KINDS, busi_datalist
from .layout_decathlon import DATASET, decathlon_datalist, is_nnunet, nnunet_datalist
from .layout_folder import folder_datalist
from .layout_nact import nact_datalist

LAYOUTS: dict[str, Callable[..., dict]] = {
    "folder": folder_datalist,
    "busi": busi_datalist,
    "nact": nact_datalist,
    "decathlon": decathlon_datalist,
    "nnunet": nnunet_datalist,
}


def layout_of(path: str | os.PathLike) -> str:
    """The layout that a folder shows; "folder" where it shows none, and for a datalist, which needs none.

    NACT looks like a plain folder: it has to be named.

    Raises:
        ValueError: where there is nothing at the path.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"data set {path} does not exist: check the path.")
    if path.is_file() or not (path / DATASET).is_file():
        kinds = [(root / kind).is_dir() for root in (path, path / INNER) for kind in KINDS]
        return "busi" if any(kinds) else "folder"
    return "nnunet" if is_nnunet(path) else "decathlon"
