"""The rows of a study, written as soon as each is done, so that an interrupted study goes on where it was."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..diffusion.inferer import EnsembleInferer
from ..digest import digest
from ..files import check_writable, write_text_atomically
from ..metrics.score_files import csv_text, without_nan
from .cases import Case

logger = logging.getLogger(__name__)


class Rows:
    """Rows by key in `<name>.json` (NaN as null) and, as a table, in `<name>.csv`.

    Args:
        folder: where they go.
        name:   of the study.
        basis:  what all rows depend on, of plain values; rows of another basis are not touched.

    Raises:
        ValueError: where the folder can not be written to, or holds rows of another basis.
    """

    def __init__(self, folder: Path, name: str, basis: Mapping[str, Any]) -> None:
        check_writable(folder)
        self.folder, self.name = folder, name
        self.basis = json.loads(json.dumps(basis))
        self.rows: dict[str, dict[str, Any]] = {}
        path = folder / f"{name}.json"
        saved = json.loads(path.read_text()) if path.is_file() else {}
        if saved and saved.get("basis") != self.basis:
            found = "rows of other weights, images, labels or settings"
            raise ValueError(f"{path} holds {found}; expected none, or some of these: give another output_dir.")
        if saved:
            self.rows = saved["rows"]
            logger.info(f"{path}: {len(self.rows)} rows are done")

    def get(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a key, computed and written if it is not there yet; None where it has no number."""
        if key not in self.rows:
            self.rows[key] = without_nan(compute())
            content = {"basis": self.basis, "rows": self.rows}
            write_text_atomically(json.dumps(content, indent=1), self.folder / f"{self.name}.json")
            write_text_atomically(csv_text(list(self.rows.values())), self.folder / f"{self.name}.csv")
            logger.info(f"{self.name}: {key}")
        return self.rows[key]


def basis_of(cases: Sequence[Case], inferer: EnsembleInferer, network: nn.Module) -> dict[str, Any]:
    """What every row of a study depends on: weights, images and labels, and the inferer's settings."""
    data = {f"{i} image": case.image for i, case in enumerate(cases)}
    data |= {f"{i} label of {case.patient}": case.label for i, case in enumerate(cases)}
    return {"weights": digest(network.state_dict()), "data": digest(data), "settings": inferer.settings}
