"""Numbers above the table of cases say what they are of."""

from noise2mask.report.tables import structure_table


def part(with_lesion, dice):
    """Of a structure, in scores.json."""
    counts = {"with_lesion": with_lesion, "lesions_missed": 0, "false_masks": 2}
    keys = ("dice", "iou", "hd95")
    return {"means": dict.fromkeys(keys, dice), "intervals": dict.fromkeys(keys, [None, None]), "counts": counts}


def test_a_structure_that_no_image_has_has_no_scores():
    scores = {"structures": {"head": part(3, 0.5), "tail": part(0, 1.0)}}
    table = structure_table(scores, "mm")
    assert table["head"][:2] == ["Structure", "images with it"]
    assert table["rows"] == [
        ["head", "3", "0.500", "0.500", "0.500", "0", "2"],
        ["tail", "0", "-", "-", "-", "0", "2"],
    ]
