"""One page, without network, of what an evaluation, a segmentation or a training found.

    from noise2mask.report.page import write_report
    write_report(["my_scores", "my_run"], "report.html")

It needs the packages of the extra `cli`, and nothing when it is read: styles, scripts and pictures stand in it, and a
policy in its head forbids the browser any request.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..explain.card import DISCLAIMER
from ..explain.case_file import MOST_SLICES, UNLABELLED, run_digest
from ..explain.colours import COLOURS, FALSE, HIT, MISSED, WRONG
from ..explain.heat import GREY
from ..files import write_text_atomically
from . import tables
from .card import find_card
from .pictures import LEFT_OUT, MOST_BYTES, Pictures, read_pictures
from .score_charts import score_charts
from .sources import REPORT, SCORES, Results, read_sources
from .training import shown_training

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "viewer.js", "drawing.js")
SAID = ("bundle", "weights", "device", "versions", "sampling", "group_by")  # what earlier versions did not say
ERRORS = {"hit": HIT, "missed": MISSED, "false": FALSE, "wrong": WRONG, "unknown": (GREY,) * 3}
OF_COLOURS = {"colours": COLOURS, "errors": ERRORS, "unlabelled": UNLABELLED}  # what the viewer draws with


def write_report(folders: Sequence[str | Path], path: str | Path, bundle: str | None = None) -> Path:
    """Write the page.

    Args:
        folders: output folders: of one evaluation or segmentation, and of trainings.
        path:    of the page; its folder is made.
        bundle:  name or folder of the bundle, where the results do not say it.

    Returns:
        The path.

    Raises:
        ValueError: where a folder holds nothing that is known, two hold cases, a file of results is damaged, the bundle
            is not there or not the one of the results, or the page can not be written. A case file that is missing or
            damaged is named in the page, and in the log.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file for the page, such as {path / 'report.html'}.")
    results, trainings = read_sources([Path(folder) for folder in folders])
    card, no_card = find_card(results.facts if results else {}, bundle)
    content = {
        "version": __version__,
        "disclaimer": DISCLAIMER,
        "most_slices": MOST_SLICES,
        "folders": [str(folder) for folder in folders],
        "card": card,
        "no_card": no_card,
        "trainings": [shown_training(training, results.facts if results else None) for training in trainings],
    }
    write_text_atomically(_rendered({**content, **_of_results(results, _pictures(results, content))}), path)
    return path


def _pictures(results: Results | None, content: Mapping[str, Any]) -> list[Pictures]:
    """Those of the cases for which there is room beside all else in the page."""
    if results is None:
        return []
    without = [Pictures("", "", LEFT_OUT)] * len(results.cases)
    rest = len(_rendered({**content, **_of_results(results, without)}).encode())
    order, room = tables.pictured_first(results), max(0, MOST_BYTES - rest)
    return read_pictures(results.folder, results.cases, order, _run(results.facts), room)


def _rendered(content: Mapping[str, Any]) -> str:
    """The template with its content, all of it escaped; style and scripts are the only ones that may run."""
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_allowed(style)}; script-src {_allowed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own = {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}
    return environment.get_template("page.html").render(**content, **own)


def _allowed(text: str) -> str:
    """A source of a content security policy: this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embedded(value: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it ends the element."""
    return Markup(json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _of_results(results: Results | None, pictures: Sequence[Pictures]) -> dict[str, Any]:
    """What the template needs of the cases; of none it is empty."""
    if results is None:
        return {"results": None, "facts": dict.fromkeys(SAID), "date": "", "several": False}
    facts, columns = {**dict.fromkeys(SAID), **results.facts}, tables.columns_of(results)
    return {
        "results": results,
        "facts": facts,
        "date": _date(results),
        "selected": tables.selection(facts, len(results.cases)),
        "several": any(len(case.structures) > 1 for case in results.cases),
        "columns": columns,
        "cases": _rows(results, columns, pictures),
        "without_pictures": sum(bool(own.missing) for own in pictures),
        "said": embedded(OF_COLOURS),
        "embedded": _embedded(results, columns, pictures),
        "settings": sorted((str(name), str(value)) for name, value in (facts.get("config") or {}).items()),
        **(_scored(results) if results.labelled else {}),
    }


def _scored(results: Results) -> dict[str, Any]:
    """What there is with labels alone."""
    return {
        "cards": tables.summary_cards(results.facts, results.unit),
        "structures": tables.structure_table(results.facts, results.unit),
        "counted": tables.counted(results.facts),
        "over": tables.over(results.facts),
        "charts": score_charts(results),
    }


def _run(facts: Mapping[str, Any]) -> str | None:
    """The digest that cases of these results have; None where they say too little."""
    known = facts.get("weights") and facts.get("sampling")
    return run_digest(facts["weights"], facts["sampling"]) if known else None


def _date(results: Results) -> str:
    """When the results were made; earlier versions did not write it down, but their files have a date."""
    if "date" in results.facts:
        return str(results.facts["date"]).replace("T", " ")
    file = results.folder / (SCORES if results.labelled else REPORT)
    return f"{datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d %H:%M} (date of {file.name})"


def _rows(results: Results, columns: Sequence[tables.Column], pictures: Sequence[Pictures]) -> list[dict[str, Any]]:
    """Of the table, the worst first."""
    names = tables.short_names([case.image for case in results.cases])
    rows = []
    for i in tables.worst_first(results):
        case, own = results.cases[i], pictures[i]
        rows.append(
            {
                "number": i,
                "name": names[i],
                "patient": case.patient,
                "small": own.small,
                "cells": [tables.cell(case, column) for column in columns],
                "notes": [*case.notes, *([own.missing] if own.missing else [])],
            }
        )
    return rows


def _embedded(results: Results, columns: Sequence[tables.Column], pictures: Sequence[Pictures]) -> list[Markup]:
    """What the viewer shows of each case, as JSON, which is read when the case is opened."""
    names = tables.short_names([case.image for case in results.cases])
    return [
        embedded(
            {
                "name": name,
                "path": case.image,
                "patient": case.patient,
                "unit": case.group_by,
                "notes": case.notes,
                "missing": own.missing,
                "details": tables.details(case, columns),
                "layers": json.loads(own.layers) if own.layers else None,
            }
        )
        for name, case, own in zip(names, results.cases, pictures, strict=True)
    ]
