"""The files of an evaluation: a line per case, a summary, a table."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import write_text_atomically
from .case_scores import BINS
from .table import score_table

SCORES, CASES = "scores.json", "cases.csv"


def write_scores(cases: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], folder: Path) -> None:
    """`cases.csv`, `scores.json` (NaN as null) and `scores.md`.

    Args:
        cases:   with the scores of `case_scores`, and what names them, such as `image`.
        summary: of `summarise`, and what else is to stand in scores.json.
        folder:  where they go; it is made.
    """
    (folder / SCORES).unlink(missing_ok=True)  # so that a kill leaves no summary of other cases than those beside it
    write_text_atomically(csv_text([{k: v for k, v in case.items() if k != BINS} for case in cases]), folder / CASES)
    units = sorted({case["hd95_unit"] for case in cases})
    write_text_atomically(score_table(summary, units), folder / "scores.md")
    write_text_atomically(json.dumps(without_nan(summary), indent=2), folder / SCORES)  # last: it is finished


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with the columns of all rows, in the order in which they come up; NaN stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if _is_nan(value) else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def without_nan(value: Any) -> Any:
    """The same with None in place of NaN, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if _is_nan(value) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
