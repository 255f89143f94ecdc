"""The table of a card's results: a row per evaluation, means with intervals, and differences from the first row.

A kept result is what `card.kept` makes of scores.json and cases.csv.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..metrics.table import markdown, number, with_interval
from .paired import difference, same_images
from .training_curve import NOT_CONVERGED, said_of_end

CLASSES = "classes"  # of scores.json, where the background is scored, too
POOLED = {
    "dice_with_background": "mDice, pooled, with background",
    "iou_with_background": "mIoU, the same",
    "accuracy": "accuracy",
}
PROBABILITY, END = "the same, by probability", "curve at its end"
NEWER = (PROBABILITY, END)  # columns that results lack which were kept before there were any
OF_LESIONS = ("Dice, lesion", "false masks", "the same, lesion")  # columns beside those of all images


def score_table(results: Sequence[Mapping[str, Any]]) -> str:
    """A row per evaluation; means over patients, of several structures those of each as well.

    Columns that tell images with a lesion from those without are left out where every image has one.
    """
    names = list(results[0].get("structures", {}))
    pooled = POOLED if any(CLASSES in result for result in results) else {}
    rows = [_row(result, results[0], names) | _pooled(result, pooled) for result in results]
    always = all(result["counts"]["images"] == result["counts"]["with_lesion"] for result in results)
    head = [name for name in rows[0] if not (always and name in OF_LESIONS)]
    head = [name for name in head if name not in NEWER or any(row[name] != "-" for row in rows)]
    return markdown(head, [[row[name] for name in head] for row in rows])


def _row(result: Mapping[str, Any], first: Mapping[str, Any], structures: Sequence[str]) -> dict[str, str]:
    """Column -> text."""
    means, counts = result["means"], result["counts"]
    on_all, on_lesions = _differences(result, first)
    row = {
        "network": result["title"],
        "Dice, all images": _with_interval(result, "dice"),
        "Dice, lesion": _with_interval(result, "dice_lesion"),
        "IoU, lesion": number(means["iou_lesion"]),
        "HD95": _distance(result, result["hd95_unit"]),
        "Dice, pooled": number(result["pooled"]["dice"]),
        "lesions missed": f"{counts['lesions_missed']} of {counts['with_lesion']}",
        "false masks": f"{counts['false_masks']} of {counts['images'] - counts['with_lesion']}",
        "calibration error": number(means["expected_calibration_error"]),
        "calibration error, pooled": number(result["pooled"].get("expected_calibration_error"), 4),
        "triage against Dice": number(result["triage"]["spearman_with_dice"], 2),
        PROBABILITY: number(result["triage"].get("probability_spearman_with_dice"), 2),
        END: said_of_end(result.get("training")),
        "Dice minus that of the first row": on_all,
        "the same, lesion": on_lesions,
    }
    for name in structures:  # "-" where a result has not got it
        own = result.get("structures", {}).get(name)
        row[f"Dice, {name}"] = "-" if own is None else _with_interval(own, "dice")
        row[f"HD95, {name}"] = "-" if own is None else _distance(own, result["hd95_unit"])
    return row


def _pooled(result: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Scores of all classes over all pixels; "-" where a result has not got them."""
    scores = result.get(CLASSES, {}).get("pooled", {})
    return {title: number(scores.get(name)) for name, title in names.items()}


def _distance(result: Mapping[str, Any], unit: str) -> str:
    left_out = result["counts"]["hd95_left_out"]
    return f"{number(result['means']['hd95'], 1)} {unit} ({left_out} left out)"


def _differences(result: Mapping[str, Any], first: Mapping[str, Any]) -> list[str]:
    """Mean difference of Dice on the same images, on all and on those with a lesion."""
    if result is first:
        return ["-", "-"]
    if not same_images(result, first):
        return ["other images"] * 2
    if any(said_of_end(one.get("training")) == NOT_CONVERGED for one in (result, first)):
        return [NOT_CONVERGED] * 2
    return [difference(result, first, lambda case: True), difference(result, first, lambda case: case["area"] > 0)]


def _with_interval(result: Mapping[str, Any], name: str) -> str:
    return with_interval(result["means"][name], *result["intervals"][name])
