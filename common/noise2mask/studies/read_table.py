"""Tables that others have written or filled in, line by line."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path


def read_table(path: Path, columns: Sequence[str], expected: str) -> list[tuple[int, dict[str, str]]]:
    """Lines of a CSV file with their numbers, counted from 1, that of the names; values without spaces around them.

    Spreadsheets save with semicolons where the comma is that of decimals, and some with a mark of UTF-8 in front.

    Args:
        path:     the file.
        columns:  that it must have; others may stand beside them.
        expected: what the file is to be, for messages.

    Raises:
        ValueError: where it is missing, no text, or has not these columns; it names the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected {expected}: check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8; expected {expected}: save it as CSV in UTF-8.") from error
    head = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    table.fieldnames = [name.strip() for name in table.fieldnames or []]
    if lost := [name for name in columns if name not in table.fieldnames]:
        raise ValueError(f"{path} has no column {', '.join(lost)}; expected {expected}: give that, or add it.")
    return [(table.line_num, {name: (row[name] or "").strip() for name in table.fieldnames}) for row in table]
