"""The tables of a card's results, a row per evaluation: scores, their differences from the first row, uncertainty.

A kept result is what `card.kept` makes of scores.json and cases.csv.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..metrics.table import markdown, number, with_interval
from .paired import dice, difference, hd95, iou, of_a_lesion, same_images
from .training_curve import NOT_CONVERGED, STOPPED, said_of_end

CLASSES = "classes"  # of scores.json, where the background is scored, too
POOLED = {
    "dice_with_background": "mDice, pooled, with background",
    "iou_with_background": "mIoU, the same",
    "accuracy": "accuracy",
}
# Columns that say nothing new where all images have all structures.
OF_ALL = (
    "Dice, all images",
    "false masks",
    "triage against Dice, all images",
    "triage by probability against Dice, all images",
)
DIFFERENCES = "Minus the first row, image by image (Dice and IoU: higher is better; HD95, where both have one: lower):"
NO_DIFFERENCES = "Nothing is said of the differences"
UNCERTAINTY = "How far the probabilities and the order of doubt can be trusted:"
COMPARED = ("Dice, all images", "Dice, lesion", "IoU, lesion", "HD95")
OF_STRUCTURES = "Of each structure:"

Row = dict[str, str]  # column -> text


def score_table(results: Sequence[Mapping[str, Any]]) -> str:
    """A row per evaluation in each table; means over patients.

    Columns that tell images with a lesion from those without are left out where all images have all structures.
    """
    names = list(results[0].get("structures", {}))
    pooled = POOLED if any(CLASSES in result for result in results) else {}
    scores = [_scores(result) | _pooled(result, pooled) | _end(result) for result in results]
    always = all(_with_lesion(result) == _lines(result) for result in results)
    tables = [_table([_renamed(row, bool(names), always) for row in scores])]
    tables += _compared(results, bool(names), always)
    doubts = [_renamed(_uncertainty(result), bool(names), always) for result in results]
    tables.append(f"{UNCERTAINTY}\n\n{_table(doubts)}")
    if names:
        tables.append(f"{OF_STRUCTURES}\n\n{_table([_structures(result, names) for result in results])}")
    return "\n\n".join(tables)


def _table(rows: Sequence[Row]) -> str:
    """Without columns in which no row has anything."""
    head = [name for name in rows[0] if any(row[name] != "-" for row in rows)]
    return markdown(head, [[row[name] for name in head] for row in rows])


def _renamed(row: Row, several: bool, always: bool) -> Row:
    """Of several structures none is a lesion; where all are in every image, "where present" says nothing."""
    if always:
        row = {name: text for name, text in row.items() if name not in OF_ALL}
    where = "" if always else ", where present" if several else ", lesion"
    names = {name: name.replace(", lesion", where) for name in row}
    names |= {"lesions missed": "structures missed"} if several else {}
    return {names[name]: text for name, text in row.items()}


def _scores(result: Mapping[str, Any]) -> Row:
    counts, lesions = result["counts"], _with_lesion(result)
    return {
        "network": result["title"],
        "Dice, all images": _with_interval(result, "dice"),
        "Dice, lesion": _with_interval(result, "dice_lesion"),
        "IoU, lesion": _with_interval(result, "iou_lesion"),
        "HD95": _distance(result, result["hd95_unit"], _lines(result)),
        "Dice, pooled": _of_all_pixels(result, "dice"),
        "lesions missed": f"{counts['lesions_missed']} of {lesions}",
        "false masks": f"{counts['false_masks']} of {_lines(result) - lesions}",
    }


def _end(result: Mapping[str, Any]) -> Row:
    return {"curve at its end": said_of_end(result.get("training"))}


def _uncertainty(result: Mapping[str, Any]) -> Row:
    triage = result["triage"]
    return {
        "network": result["title"],
        "calibration error": _with_interval(result, "expected_calibration_error"),
        "calibration error, pooled": _of_all_pixels(result, "expected_calibration_error", 4),
        "triage against Dice, all images": _rank(triage, "spearman_with_dice"),
        "triage against Dice, lesion": _rank(triage, "spearman_with_dice_lesion"),
        "triage by probability against Dice, all images": _rank(triage, "probability_spearman_with_dice"),
        "triage by probability against Dice, lesion": _rank(triage, "probability_spearman_with_dice_lesion"),
    }


def _structures(result: Mapping[str, Any], names: Sequence[str]) -> Row:
    """Of each structure; "-" where a result has not got it."""
    row = {"network": result["title"]}
    for name in names:
        own = result.get("structures", {}).get(name)
        row[f"Dice, {name}"] = "-" if own is None else _with_interval(own, "dice")
        row[f"HD95, {name}"] = "-" if own is None else _distance(own, result["hd95_unit"], own["counts"]["images"])
    return row


def _pooled(result: Mapping[str, Any], names: Mapping[str, str]) -> Row:
    """Scores of all classes over all pixels; "-" where a result has not got them."""
    scores = result.get(CLASSES, {}).get("pooled", {})
    return {title: number(scores.get(name)) for name, title in names.items()}


def _lines(result: Mapping[str, Any]) -> int:
    """Images, of several structures each as often as there are structures."""
    return result["counts"]["images"] * max(1, len(result.get("structures", {})))


def _with_lesion(result: Mapping[str, Any]) -> int:
    """How many of these are not empty."""
    own = [structure["counts"]["with_lesion"] for structure in result.get("structures", {}).values()]
    return sum(own) if own else result["counts"]["with_lesion"]


def _distance(result: Mapping[str, Any], unit: str, lines: int) -> str:
    left_out = result["counts"]["hd95_left_out"]
    if left_out == lines:
        return "-"
    without = f", {left_out} of {lines} left out" if left_out else ""
    return f"{_with_interval(result, 'hd95', 1)} {unit}{without}"


def _compared(results: Sequence[Mapping[str, Any]], several: bool, always: bool) -> list[str]:
    """The table of differences from the first row, and whose there are not."""
    first, *others = results
    if others and (end := _untold_end(first)):
        return [f"{NO_DIFFERENCES} from the first row, which is {end}."]
    why = [(result, _why_not(result, first)) for result in others]
    rows = [_renamed(_differences(result, first), several, always) for result, words in why if not words]
    left_out = "; ".join(f"{result['title']} ({words})" for result, words in why if words)
    tables = [f"{DIFFERENCES}\n\n{_table(rows)}"] if rows else []
    return [*tables, f"{NO_DIFFERENCES} between the first row and: {left_out}."] if left_out else tables


def _differences(result: Mapping[str, Any], first: Mapping[str, Any]) -> Row:
    """Mean differences on the same images, all of them or those with a lesion."""
    found = (
        difference(result, first),
        difference(result, first, dice, of_a_lesion),
        difference(result, first, iou, of_a_lesion),
        _distance_apart(result, first),
    )
    return {"network": result["title"], **dict(zip(COMPARED, found, strict=True))}


def _distance_apart(result: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Of HD95, where both are in the same unit."""
    unit = result["hd95_unit"]
    if unit != first["hd95_unit"] or " " in unit:  # "mm and pixel"
        return "other units"
    found = difference(result, first, hd95, digits=1)
    return found if found == "-" else f"{found} {unit}"


def _why_not(result: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Why a difference from a first row that has converged would say nothing; "" where it does."""
    return _untold_end(result) if same_images(result, first) else "other images"


def _untold_end(result: Mapping[str, Any]) -> str:
    """How its training ended, where that is a reason to claim nothing; else ""."""
    end = said_of_end(result.get("training"))
    return end if end in (NOT_CONVERGED, STOPPED) else ""


def _with_interval(result: Mapping[str, Any], name: str, digits: int = 3) -> str:
    low, high = result["intervals"].get(name, (None, None))
    return with_interval(result["means"][name], low, high, digits)


def _of_all_pixels(result: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """A score of all pixels together, with its interval where it was kept."""
    low, high = result.get("pooled_intervals", {}).get(name, (None, None))
    return with_interval(result["pooled"].get(name), low, high, digits)


def _rank(triage: Mapping[str, Any], name: str) -> str:
    """A rank correlation, with its interval where it was kept."""
    low, high = triage.get(f"{name}_interval", (None, None))
    return with_interval(triage.get(name), low, high, 2)
