"""DDTI's outlines in XML as masks: writes a plain folder, with the case as the patient.

    python -m noise2mask.data.ddti_outlines FOLDER OUTPUT

DDTI (Pedraza et al., SPIE 9287, 2015) has a file per case, `12.xml`, beside its pictures `12_1.jpg`, `12_2.jpg`; a
`<mark>` names the number of a picture (`<image>`) and has a JSON list of outlines in `<svg>`, each with `points` of x
and y in pixels. Pictures without an outline are left out, as nothing says that they show no nodule; so are outlines
that can not be read (the published 197.xml and 205.xml break off), which are told.
"""

import argparse
import csv
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageDraw

from .layout_files import existing
from .splits import natural

__all__ = ["main", "write_plain_folder"]

logger = logging.getLogger(__name__)

Outline = list[tuple[float, float]]  # x, y in pixels


def write_plain_folder(folder: str | os.PathLike, output: str | os.PathLike) -> int:
    """Write `images/`, `masks/` (0 and 255) and `manifest.csv` (image, patient); how many pictures.

    Args:
        folder: DDTI as downloaded.
        output: a new or an empty folder.

    Raises:
        ValueError: where `folder` has no outlines, or `output` has content.
    """
    folder, output = existing(folder), Path(output)
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{output} is not empty; expected a new folder: give another one.")
    outlines = _all_outlines(folder)
    if not outlines:
        raise ValueError(f"{folder} has no outlines; expected files such as 1.xml with 1_1.jpg: give DDTI's folder.")
    for name in ("images", "masks"):
        (output / name).mkdir(parents=True, exist_ok=True)
    for path, own in outlines.items():
        shutil.copy(path, output / "images" / path.name)
        with Image.open(path) as picture:
            _mask(own, picture.size).save(output / "masks" / f"{path.stem}.png")
    with open(output / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "patient"])
        rows.writerows([path.name, path.stem.partition("_")[0]] for path in outlines)
    return len(outlines)


def _all_outlines(folder: Path) -> dict[Path, list[Outline]]:
    """Outlines by picture, without what can not be read, which is told."""
    found: dict[Path, list[Outline]] = {}
    for path in sorted(folder.glob("*.xml"), key=lambda path: natural(path.name)):
        try:
            numbered = outlines_of(path)
        except ValueError as error:
            logger.warning(f"left out: {error}")
            continue
        for number, own in numbered.items():
            picture = path.with_name(f"{path.stem}_{number}.jpg")
            if picture.is_file():
                found[picture] = own
            else:
                logger.warning(f"left out: {picture} does not exist, but {path.name} has its outlines.")
    return found


def outlines_of(path: Path) -> dict[str, list[Outline]]:
    """Outlines of one case by the number of the picture; pictures without one are left out.

    Raises:
        ValueError: where the file is no XML, an outline no JSON, or it has fewer than three points; it names the file.
    """
    found: dict[str, list[Outline]] = {}
    try:
        for mark in ElementTree.parse(path).getroot().iter("mark"):
            number, text = (mark.findtext("image") or "").strip(), (mark.findtext("svg") or "").strip()
            regions = json.loads(text) if text else []
            own = [[(float(point["x"]), float(point["y"])) for point in region["points"]] for region in regions]
            if own:
                found.setdefault(number, []).extend(own)
    except (ElementTree.ParseError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} can not be read ({error!r}); expected outlines of points: repair it.") from error
    if any(len(outline) < 3 for own in found.values() for outline in own):
        raise ValueError(f"{path} has an outline of fewer than 3 points: repair it.")
    return found


def _mask(outlines: Sequence[Outline], size: tuple[int, int]) -> Image.Image:
    """The union of filled outlines, 255 on 0; size (W, H)."""
    mask = Image.new("L", size)
    for outline in outlines:
        ImageDraw.Draw(mask).polygon(outline, fill=255)
    return mask


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a plain folder of DDTI."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.data.ddti_outlines", description=main.__doc__)
    parser.add_argument("folder", help="DDTI as downloaded")
    parser.add_argument("output", help="a new or an empty folder")
    options = parser.parse_args(arguments)
    try:
        count = write_plain_folder(options.folder, options.output)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{options.output}: {count} pictures")


if __name__ == "__main__":
    main()
