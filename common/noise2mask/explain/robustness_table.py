"""The rows of robustness studies as tables: one network with all its scores, or several beside one another."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..metrics.table import number, with_interval
from ..transforms.corruption import CORRUPTIONS

AS_THEY_ARE = "none"  # the corruption of the row of the images as they are

Row = Mapping[str, Any]  # of `RobustnessStudy`


def is_robustness(rows: Sequence[Row]) -> bool:
    """Whether the rows are those of a robustness study."""
    return all("corruption" in row for row in rows)


def place(row: Row) -> tuple[int, float]:
    """The order of rows: the images as they are, then each corruption from mild to strong."""
    if row["corruption"] == AS_THEY_ARE:
        return -1, 0.0
    kind = row["corruption"]
    return list(CORRUPTIONS).index(kind), abs(row["severity"] - CORRUPTIONS[kind].unchanged)


def scores_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the Markdown table of one network."""
    head = ["images with", "Dice (95 % interval)", "calibration error", "triage", "triage against Dice"]
    body = []
    for row in sorted(rows, key=place):
        numbers = [number(row["expected_calibration_error"]), number(row["triage"])]
        body.append([_condition(row), _dice(row), *numbers, number(row["triage_spearman_with_dice"], 2)])
    return head, body


def beside(results: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the Markdown table of several networks: Dice and triage number of each.

    Args:
        results: each with `title` and `rows`, as `card.kept` makes it; "-" stands where a network has no such row.

    Raises:
        ValueError: where one is of something else, or of another number of images than the first.
    """
    check_alike(results)
    head, conditions = ["images with"], dict[str, Row]()
    for result in results:
        head += [f"{result['title']}: Dice (95 % interval)", "triage"]
        conditions |= {_condition(row): row for row in result["rows"]}
    body = []
    for condition in sorted(conditions, key=lambda name: place(conditions[name])):
        cells = [condition]
        for result in results:
            row = next((row for row in result["rows"] if _condition(row) == condition), None)
            cells += ["-", "-"] if row is None else [_dice(row), number(row["triage"])]
        body.append(cells)
    return head, body


def check_alike(results: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError where a result is of no robustness study, or of another number of images than the first."""
    for result in results:
        if not is_robustness(result.get("rows", [{}])):
            found = f"{result.get('title')!r} is no robustness study"
            raise ValueError(f"{found}; expected results kept of robustness_study.json: take it out.")
        numbers = [one["rows"][0]["images"] for one in (results[0], result)]
        if numbers[0] != numbers[1]:
            titles = f"{results[0]['title']!r} and {result['title']!r}"
            found = f"{titles} are of {numbers[0]} and {numbers[1]} images"
            raise ValueError(f"{found}; expected the same images: study them on one data set.")


def _condition(row: Row) -> str:
    return "nothing changed" if row["severity"] is None else f"{row['corruption']} {row['severity']:g}"


def _dice(row: Row) -> str:
    return with_interval(row["dice"], row["dice_low"], row["dice_high"])
