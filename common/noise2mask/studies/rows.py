"""The rows of a study, written as soon as each is done, so that an interrupted study goes on where it was."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..files import check_writable, write_text_atomically
from ..metrics.score_files import csv_text

logger = logging.getLogger(__name__)


class Rows:
    """Rows by key in `<name>.json` and, as a table, in `<name>.csv`.

    Args:
        folder: where they go.
        name:   of the study.
        basis:  what all rows depend on, of plain values; rows of another basis are not taken up.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(self, folder: Path, name: str, basis: Mapping[str, Any]) -> None:
        check_writable(folder)
        self.folder, self.name = folder, name
        self.basis = json.loads(json.dumps(basis))
        self.rows: dict[str, dict[str, Any]] = {}
        path = folder / f"{name}.json"
        saved = json.loads(path.read_text()) if path.is_file() else {}
        if saved.get("basis") == self.basis:
            self.rows = saved["rows"]
            logger.info(f"{path}: {len(self.rows)} rows are done")

    def get(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a key, computed and written if it is not there yet."""
        if key not in self.rows:
            self.rows[key] = compute()
            content = {"basis": self.basis, "rows": self.rows}
            write_text_atomically(json.dumps(content, indent=1), self.folder / f"{self.name}.json")
            write_text_atomically(csv_text(list(self.rows.values())), self.folder / f"{self.name}.csv")
            logger.info(f"{self.name}: {key}")
        return self.rows[key]


def digest(network: nn.Module) -> str:
    """Of all weights: two networks with the same one give the same rows."""
    total = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
