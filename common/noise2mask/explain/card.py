"""A bundle's model card: the sections it must have, and tables that come from results which stand beside it.

    python -m noise2mask.explain.card keep SCORES/scores.json bundles/BUNDLE/docs/results/NAME.json --title TITLE
    python -m noise2mask.explain.card fill bundles/BUNDLE
    python -m noise2mask.explain.card draw bundles/BUNDLE/docs/results/curves.png NAME NAME

`keep` takes what a card shows out of an evaluation's scores.json or a study's settings_study.json or
robustness_study.json; with `--kinds benign malignant` it marks the cases whose file names begin so, and with
`--training RUN` (RUN_BEFORE RUN, where one began with the weights of the other) it keeps the curve of the training.
`fill` writes the tables of the bundle's pages (docs/README.md, the card, and docs/trials.md) anew: between
`<!-- table: NAME NAME -->` and `<!-- end -->` stands the table of these results, and with another word in the place of
`table`: `subgroups`, that of two results on groups of the same images; `robustness`, that of robustness studies of the
same images; `curves`, how the trainings ended; `costs`, what benchmarks/peers.py has measured. `draw` makes a figure of
the results NAME that stand beside it: of robustness studies their curves, of evaluations those of their trainings.
"""

import argparse
import csv
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..files import write_text_atomically
from ..metrics.case_scores import BACKGROUND
from ..metrics.score_files import CASES
from ..metrics.table import markdown
from ..studies.settings_study import study_table
from .costs import cost_table
from .paired import subgroup_table
from .robustness_figure import write_robustness_figure
from .robustness_table import beside, check_alike, is_robustness, place
from .score_rows import CLASSES, score_table
from .training_curve import curve_table, training_curve, write_training_curves

SECTIONS = (
    "Intended use", "Data", "Preprocessing", "Architecture", "Training", "Results", "Failures", "Uncertainty",
    "Deviations from the paper", "Compute", "Use", "Licence", "Citation",
)  # fmt: skip
DISCLAIMER = "Research software. Not a medical device. Not for diagnosis."
SHOWN = ("means", "intervals", "pooled", "triage", "counts", "policy", "sampling")  # of scores.json
# Not in every result: older versions did not name weights, device and versions; only a scored background has classes
NOT_ALWAYS = ("pooled_intervals", "weights", "device", "versions", CLASSES)
OF_IMAGES = ("frechet_distance", "mmd")  # scores of a bundle that generates
BLOCK = re.compile(r"(<!-- (table|subgroups|robustness|curves|costs): ([\w ]+) -->\n).*?(<!-- end -->)", re.S)


def kept(path: Path, title: str, kinds: Sequence[str] = (), training: Sequence[Path] = ()) -> dict[str, Any]:
    """What a card shows of a result, without paths and without what names an image.

    Args:
        path:  scores.json, beside its cases.csv, or settings_study.json, or robustness_study.json.
        title: of its row or its rows.
        kinds: beginnings of the images' file names that say of which kind a case is, such as benign and malignant.
        training: folders of the trainings that made the weights, in their order.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if "rows" in content:
        rows = list(content["rows"].values())
        return {"title": title, "rows": sorted(rows, key=place if is_robustness(rows) else _setting)}
    with open(path.with_name(CASES), encoding="utf-8", newline="") as file:
        cases = sorted(csv.DictReader(file), key=_name)
    units = sorted({case["hd95_unit"] for case in cases})
    names = "\n".join(_name(case) for case in cases)
    parts = {"hd95_unit": " and ".join(units), "images": hashlib.sha256(names.encode()).hexdigest()}
    return (
        {"title": title}
        | parts
        | {name: content[name] for name in SHOWN}
        | {name: content[name] for name in NOT_ALWAYS if name in content}
        | _kept_structures(content.get("structures", {}))
        | ({"training": training_curve(training)} if training else {})
        | {"cases": _kept_cases(cases, kinds, content["sampling"]["samples"])}
    )


def _kept_structures(structures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means, intervals and counts of each structure, where there are several."""
    parts = ("means", "intervals", "counts")
    kept = {name: {part: own[part] for part in parts} for name, own in structures.items()}
    return {"structures": kept} if kept else {}


def _kept_cases(cases: Sequence[Mapping[str, str]], kinds: Sequence[str], samples: int) -> list[dict[str, Any]]:
    """Patient (numbered as they come), Dice, HD95, area (pixels or voxels), triage number and kind of each case.

    Of several structures, but for the background, each of each image is a case, with its image's number. One sample has
    no triage number; HD95 is None where mask or label is empty.
    """
    patients = list(dict.fromkeys(case["patient"] for case in cases))
    images = list(dict.fromkeys(case["image"] for case in cases))
    found = []
    for case in cases:
        if case.get("structure") == BACKGROUND:
            continue
        kind = next((kind for kind in kinds if _name(case).startswith(kind)), None)
        one: dict[str, Any] = {"patient": patients.index(case["patient"])}
        one |= {"image": images.index(case["image"])} if "structure" in case else {}
        one |= {"dice": float(case["dice"]), "hd95": float(case["hd95"]) if case["hd95"] else None}
        one |= {"area": int(case["tp"]) + int(case["fn"]), "triage": float(case["triage"]) if samples > 1 else None}
        found.append(one | {"kind": kind})
    return found


def _name(case: Mapping[str, str]) -> str:
    """Of the image's file, whatever the folder."""
    return case["image"].replace("\\", "/").split("/")[-1]


def written(result: Mapping[str, Any]) -> str:
    """A result as JSON, a case per line."""
    lines = ",\n  ".join(json.dumps(case) for case in result.get("cases", []))
    empty = result if "rows" in result else {**result, "cases": []}
    return json.dumps(empty, indent=1).replace('"cases": []', f'"cases": [\n  {lines}\n ]') + "\n"


def _setting(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The order of a study's rows, which may have been made in several calls: from noise first, few steps first."""
    return row["sampler"], row["start"] or 0, row["steps"], row["samples"]


def filled(card: str, results: Path) -> str:
    """The card with its tables written anew.

    Args:
        card:    its text.
        results: folder of the results it names.

    Raises:
        ValueError: where a result is missing, a table would mix evaluations and studies, subgroups are not of two
            evaluations of the same images, or robustness is not of its studies.
    """

    def block(found: re.Match[str]) -> str:
        content = [_read(results / f"{name}.json") for name in found[3].split()]
        make = MAKERS[found[2]]
        return f"{found[1]}{make(found[3], content)}\n{found[4]}"

    return BLOCK.sub(block, card)


def _table(names: str, results: Sequence[Mapping[str, Any]]) -> str:
    if len({"rows" in result for result in results}) > 1:
        raise ValueError(f"The table {names!r} mixes evaluations and studies: make two of it.")
    if any(is_robustness(result.get("rows", [{}])) for result in results):
        raise ValueError(f"The table {names!r} is of robustness studies: call the block robustness.")
    if "rows" in results[0]:
        return markdown(*_studies(results))
    return score_table(results)


def _studies(results: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows; of several studies, each row with the title of its own."""
    titles = [result["title"] for result in results for _ in result["rows"]]
    head, body = study_table([row for result in results for row in result["rows"]])
    if len(results) == 1:
        return head, body
    return ["network", *head], [[title, *row] for title, row in zip(titles, body, strict=True)]


def _subgroups(names: str, results: Sequence[Mapping[str, Any]]) -> str:
    if len(results) != 2 or any("rows" in result for result in results):
        raise ValueError(f"The subgroups {names!r} are not of two evaluations; expected two: correct the card.")
    return subgroup_table(*results)


def _robustness(names: str, results: Sequence[Mapping[str, Any]]) -> str:
    return markdown(*beside(results))


def _curves(names: str, results: Sequence[Mapping[str, Any]]) -> str:
    _check_curves(names, results)
    return curve_table(results)


def _check_curves(names: str, results: Sequence[Mapping[str, Any]]) -> None:
    own = zip(names.split(), results, strict=True)
    without = [name for name, result in own if "begins" not in result.get("training", {})]
    if without:
        found = f"{', '.join(without)} of the curves {names!r} have no training, or one that an older version kept"
        raise ValueError(f"{found}: keep them with --training.")


def _costs(names: str, results: Sequence[Mapping[str, Any]]) -> str:
    return "\n\n".join(map(cost_table, results))


MAKERS = {
    "table": _table,
    "subgroups": _subgroups,
    "robustness": _robustness,
    "curves": _curves,
    "costs": _costs,
}


def draw(picture: Path, names: Sequence[str]) -> None:
    """A figure of results that stand beside it: curves of robustness studies, or of the trainings of evaluations.

    Raises:
        ValueError: where a result is missing, or they are not all of one kind and of the same images.
    """
    results = [_read(picture.with_name(f"{name}.json")) for name in names]
    if "rows" in results[0]:
        check_alike(results)
        write_robustness_figure({result["title"]: result["rows"] for result in results}, picture)
    else:
        _check_curves(" ".join(names), results)
        write_training_curves(results, picture)


def card_problems(root: Path) -> list[str]:
    """What a bundle's card lacks, and what in it contradicts the metadata or the results.

    Args:
        root: the bundle's folder.
    """
    card = (root / "docs" / "README.md").read_text(encoding="utf-8")
    metadata = _read(root / "configs" / "metadata.json")
    there = [name for name in re.findall(r"^## (.+)$", card, re.M) if name in SECTIONS]
    found = [f"section {name!r} is missing" for name in SECTIONS if name not in there]
    if there != sorted(there, key=SECTIONS.index):
        found.append(f"the sections are not in the order {', '.join(SECTIONS)}")
    said = {"name": metadata["name"], "version": f"Version {metadata['version']}", "disclaimer": DISCLAIMER}
    said |= _rows_of_settings(yaml.safe_load((root / "configs" / "train.yaml").read_text(encoding="utf-8")))
    said |= {f"reference {text!r}": re.sub(r"\s+\(\d{4}\)$", "", text) for text in metadata["references"]}
    plain = re.sub(r"[\s>]+", " ", card)
    found += [f"{what} is missing" for what, text in said.items() if text not in plain]
    wrong = [page.name for page, text in _pages(root).items() if filled(text, root / "docs" / "results") != text]
    found += [f"{name}: a table is not what its results say: run noise2mask.explain.card fill" for name in wrong]
    return found + _metric_problems(root, metadata)


def _pages(root: Path) -> dict[Path, str]:
    """The bundle's pages and their text: the card and, where there are some, the trials."""
    return {path: path.read_text(encoding="utf-8") for path in sorted((root / "docs").glob("*.md"))}


def _rows_of_settings(train: Mapping[str, Any]) -> dict[str, str]:
    """How the card's tables begin that repeat settings of the training."""
    rows, columns = train["image_size"]
    epochs = [str(train[name]) for name in ("prior_epochs", "epochs") if name in train]  # a column per phase
    return {
        "the image size of train.yaml": f"| image size | {rows} x {columns} |",
        "the batch size of train.yaml": f"| batch size | {train['batch_size']} |",
        "the epochs of train.yaml": f"| epochs | {' | '.join(epochs)} |",
    }


def _metric_problems(root: Path, metadata: Mapping[str, Any]) -> list[str]:
    """Where `eval_metrics` are not those of the shipped weights, in results/shipped.json."""
    path = root / "docs" / "results" / "shipped.json"
    content = _read(path) if path.is_file() else {}
    numbers = content.get("means", {name: value["generated"] for name, value in content.items() if name in OF_IMAGES})
    shown = {name: round(numbers[name], 3) for name in ("dice", "dice_lesion", "hd95", *OF_IMAGES) if name in numbers}
    return [] if metadata["eval_metrics"] == shown else [f"eval_metrics are {metadata['eval_metrics']}, not {shown}"]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist, expected a result: keep it, or take its name out of the card.")
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Keep a result, or fill a card."""
    parser = argparse.ArgumentParser(description="A bundle's model card and its results.")
    commands = parser.add_subparsers(dest="command", required=True)
    keep = commands.add_parser("keep")
    keep.add_argument("source", type=Path)
    keep.add_argument("target", type=Path)
    keep.add_argument("--title", required=True)
    keep.add_argument("--training", nargs="+", type=Path, default=[], help="folders of the trainings, in their order")
    keep.add_argument("--kinds", nargs="+", default=[], help="beginnings of file names that say what kind a case is")
    fill = commands.add_parser("fill")
    fill.add_argument("bundle", type=Path)
    figure = commands.add_parser("draw")
    figure.add_argument("picture", type=Path)
    figure.add_argument("names", nargs="+")
    given = parser.parse_args()
    try:
        _run(given)
    except ValueError as error:
        parser.exit(2, f"{error}\n")


def _run(given: argparse.Namespace) -> None:
    """One command."""
    if given.command == "keep":
        write_text_atomically(written(kept(given.source, given.title, given.kinds, given.training)), given.target)
    elif given.command == "draw":
        draw(given.picture, given.names)
    else:
        for page, text in _pages(given.bundle).items():
            write_text_atomically(filled(text, page.parent / "results"), page)


if __name__ == "__main__":
    main()
