"""Synthetic tiles whose pixels agree with the mask that they were made for: the automatic filter.

DiffusionDCI keeps the 2000 best of its synthetic tiles, as two clinicians see them ("Synthesis dataset"). Without
clinicians a segmenter that was trained on real tiles alone judges: its agreement with the conditioning mask ranks them.

    python -m noise2mask.studies.filter_tiles GENERATED --cases cases.csv --keep 2000 --output KEPT

GENERATED has images/, masks/, manifest.csv and datalist.json; cases.csv is what the evaluation of that segmenter on
GENERATED has written, one for each section of its datalist. KEPT gets the same files of the tiles that are kept, the
column `agreement` in manifest.csv, and filter.json. It is there whole or not at all.
"""

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.datalist import load_whole, write_datalist
from ..data.item_paths import name_of
from ..data.layout_files import existing, stem_of
from ..data.layout_folder import paired_files, read_manifest
from ..data.layouts import FILE
from ..data.problems import refuse
from ..data.splits import KEYS, natural
from ..digest import sha256
from ..files import write_text_atomically
from ..metrics.score_files import csv_text
from ..metrics.table import markdown
from .agreement import RULE, agreements
from .tile_folder import class_pixels, dominant, is_new, whole_folder

SHIFT = (
    "A segmenter agrees most with what it segments well, so that the filter shifts the balance of classes: compare "
    "before and after."
)
QUARTILES = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")


# Choice


def chosen(agreement: Mapping[str, float], keep: int | None = None, least: float | None = None) -> list[str]:
    """Stems of the `keep` tiles that agree most (of equal ones the first by name), or of those from `least` on.

    Raises:
        ValueError: where it is not one of both, there are fewer tiles, or none is left.
    """
    if (keep is None) == (least is None):
        raise ValueError(f"keep is {keep} and least is {least}; expected one of them: leave the other out.")
    order = sorted(agreement, key=lambda stem: (-agreement[stem], natural(stem), stem))
    if keep is not None:
        if not 1 <= keep <= len(order):
            raise ValueError(f"keep is {keep}, expected 1 to {len(order)}, the number of tiles: change it.")
        return order[:keep]
    kept = [stem for stem in order if agreement[stem] >= float(least or 0)]
    if not kept:
        found = f"no tile has an agreement of {least} or more, the highest is {agreement[order[0]]:.4f}"
        raise ValueError(f"{found}; expected some: lower least.")
    return kept


def report_of(agreement: Mapping[str, float], kept: Sequence[str], pixels: Mapping[str, dict[int, int]]) -> dict:
    """What filter.json says of the choice.

    Args:
        agreement: of every tile, by stem.
        kept:      stems of those that stay, the best first.
        pixels:    of every tile, by stem, how many each class has.
    """
    lowest, out = agreement[kept[-1]], [agreement[stem] for stem in agreement.keys() - set(kept)]
    return {
        "tiles": len(agreement),
        "kept": len(kept),
        "lowest_kept": lowest,
        "highest_left_out": max(out, default=None),
        "left_out_with_the_agreement_of_the_lowest_kept": out.count(lowest),
        "agreement": {"before": _quartiles(agreement.values()), "after": _quartiles(agreement[s] for s in kept)},
        "classes": {"before": _classes(pixels.values()), "after": _classes(pixels[stem] for stem in kept)},
        "classes_note": SHIFT,
        "rule": RULE,
    }


def _quartiles(values: Iterable[float]) -> dict[str, float]:
    return dict(zip(QUARTILES, np.quantile(list(values), [0, 0.25, 0.5, 0.75, 1]).tolist(), strict=True))


def _classes(tiles: Iterable[Mapping[int, int]]) -> dict[str, dict[str, float]]:
    """Of each class: tiles that have it, tiles where it is the dominant one, its share of all pixels."""
    tiles = list(tiles)
    pixels = sum((Counter(own) for own in tiles), Counter())
    there, most = Counter(value for own in tiles for value in own), Counter(map(dominant, tiles))
    total = sum(pixels.values())
    return {
        str(value): {"tiles": there[value], "dominant": most[value], "share_of_pixels": pixels[value] / total}
        for value in sorted(pixels)
    }


# Files


def filter_tiles(
    folder: Path, cases: Sequence[Path], output: Path, keep: int | None = None, least: float | None = None
) -> dict[str, Any]:
    """Write the tiles that are kept as a new folder; nothing where it is there already.

    Returns:
        What filter.json says.

    Raises:
        ValueError: where files do not fit together, or the output holds something else; it names them.
    """
    folder = existing(folder)
    images, masks = paired_files(folder)
    rows = read_manifest(folder, images)
    refuse(f"{folder} is no folder of tiles", [] if rows else ["it has no manifest.csv: give the generated folder."])
    content = load_whole(folder / FILE)
    _check_listed(folder, content, images)
    agreement = agreements(cases, folder, images)
    kept = chosen(agreement, keep, least)
    report = report_of(agreement, kept, {stem: class_pixels(masks[stem]) for stem in images})
    made_from = {name: sha256(folder / name) for name in ("images", masks[kept[0]].parent.name, "manifest.csv", FILE)}
    report |= {"keep": keep, "least": least, "made_from": {"cases.csv": [sha256(path) for path in cases], **made_from}}
    if not is_new(output):
        _check_same(output, report)
        return report
    stays = sorted(kept, key=natural)
    with whole_folder(output) as new:
        _copy([path[stem] for stem in stays for path in (images, masks)], new)
        table = csv_text([{**rows[stem], "agreement": agreement[stem]} for stem in stays])
        write_text_atomically(table, new / "manifest.csv")
        write_datalist(_datalist_of(content, stays, images, masks, new), new / FILE)
        write_text_atomically(json.dumps(report, indent=2) + "\n", new / "filter.json")
    return report


def _check_listed(folder: Path, content: Mapping[str, Any], images: Mapping[str, Path]) -> None:
    """The datalist has exactly the images that there are."""
    listed = Counter(_stem(item) for key in KEYS for item in content.get(key, []))
    problems = [f"{FILE}: {stem} is not in images/: put the tile back." for stem in listed if stem not in images]
    problems += [f"{FILE}: {stem} is listed twice: keep one." for stem, count in listed.items() if count > 1]
    problems += [f"images/{path.name} is not in {FILE}: add it." for stem, path in images.items() if stem not in listed]
    refuse(f"the tiles of {folder} can not be ranked", problems)


def _stem(item: Mapping[str, Any]) -> str:
    return stem_of(name_of(item)) or name_of(item)


def _check_same(output: Path, report: Mapping[str, Any]) -> None:
    """Refuse an output that holds anything but the same choice."""
    path = output / "filter.json"
    try:
        same = json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    except (OSError, ValueError):
        same = False
    if not same:
        found = f"{output} holds another choice of tiles, or other files"
        raise ValueError(f"{found}; expected nothing there: give another --output.")


def _copy(paths: Iterable[Path], new: Path) -> None:
    for path in paths:
        target = _in(new, path)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)


def _in(new: Path, path: Path) -> Path:
    """Where a file stands in the new folder: in one that is called as its own is."""
    return new / path.parent.name / path.name


def _datalist_of(
    content: Mapping[str, Any], stems: Iterable[str], images: Mapping[str, Path], masks: Mapping[str, Path], new: Path
) -> dict[str, Any]:
    """The datalist of some of the tiles, with the paths of their copies."""
    paths = {stem: {"image": str(_in(new, images[stem])), "label": str(_in(new, masks[stem]))} for stem in stems}
    sections = {key: [item for item in content[key] if _stem(item) in paths] for key in KEYS if key in content}
    return {**content, **{key: [{**item, **paths[_stem(item)]} for item in own] for key, own in sections.items()}}


# The command


def class_table(report: Mapping[str, Any]) -> str:
    """Classes before and after, in Markdown."""
    before, after = report["classes"]["before"], report["classes"]["after"]
    none = {"tiles": 0, "dominant": 0, "share_of_pixels": 0.0}
    head = ["class", "tiles with it", "kept", "tiles where it is dominant", "kept", "share of pixels", "kept"]
    rows = []
    for value, own in before.items():
        left = after.get(value, none)
        counts = [str(part[name]) for name in ("tiles", "dominant") for part in (own, left)]
        rows.append([value, *counts, *(f"{part['share_of_pixels']:.3f}" for part in (own, left))])
    return markdown(head, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Keep the synthetic tiles that a segmenter trained on real tiles alone agrees with most."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.studies.filter_tiles", description=main.__doc__)
    parser.add_argument("generated", type=Path, help="folder with images/, masks/, manifest.csv and datalist.json")
    parser.add_argument("--cases", type=Path, nargs="+", required=True, help="cases.csv of the segmenter's evaluations")
    parser.add_argument("--output", type=Path, required=True, help="new folder of the tiles that are kept")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--keep", type=int, help="number of tiles; the paper keeps 2000")
    choice.add_argument("--least", type=float, help="agreement of a tile, 0 to 1, from which on it is kept")
    options = parser.parse_args(arguments)
    try:
        report = filter_tiles(options.generated, options.cases, options.output, options.keep, options.least)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    medians = [report["agreement"][when]["median"] for when in ("before", "after")]
    print(
        f"{options.output}: kept {report['kept']} of {report['tiles']}, agreement {report['lowest_kept']:.3f} or more"
    )
    print(f"median agreement {medians[0]:.3f} before, {medians[1]:.3f} after\n\n{class_table(report)}\n\n{SHIFT}")


if __name__ == "__main__":
    main()
