"""Whole slides with their masks, cut into tiles that a network takes, with slide and patient.

    python -m noise2mask.data.tiles SLIDES --output TILES --tile_size 3450 --stride 3450 --image_size 256

SLIDES has `images/` and `masks/` with the same stems, and a `manifest.csv` as a data set's folder has, with the column
patient. TILES gets images/, masks/, manifest.csv (image, slide, patient) and datalist.json, split by patient (by slide
where none is named), whose items say where on its slide a tile lies; and for every slide that is done a record in
slides/. After an interruption the same command goes on with the slides that have no record, or whose files are others.
What sticks out of a slide is reflected in the image, and ignored in the mask.

Legend: H W size, h number of rows.
"""

import argparse
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files import atomic_file, check_writable, write_text_atomically
from .cielab import to_cielab
from .datalist import write_datalist
from .item_paths import name_of
from .layout_files import existing
from .layout_folder import folder_datalist, owners, paired_files, read_manifest
from .layouts import FILE
from .problems import refuse
from .slide_colours import LUMINANCE, is_foreground, some_tissue
from .splits import KEYS
from .whole_slide import SUFFIXES, Slide, open_slide

TILE = re.compile(r"_y(\d{6,})_x(\d{6,})\.png$")  # what follows a slide's stem in the name of a tile


@dataclass(frozen=True)
class Cut:
    """How slides are cut.

    Args:
        tile_size:  side of a tile in pixels of the slide.
        stride:     pixels from one tile to the next, at most tile_size.
        image_size: side of what is written, at most tile_size.
        classes:    number of classes in the masks, 0 to classes - 1.
        ignore:     value of the mask outside of the slide; allowed in masks.
        min_tissue: least part of a tile that is tissue, 0 to 1; 0 keeps all.
        luminance:  L of CIELAB that is tissue, above and up to.
    """

    tile_size: int = 3450
    stride: int = 3450
    image_size: int = 256
    classes: int = 3
    ignore: int = 0
    min_tissue: float = 0.0
    luminance: tuple[float, float] = LUMINANCE

    def __post_init__(self) -> None:
        """Refuse what leaves gaps, enlarges, or can not be."""
        for name, most in (("stride", self.tile_size), ("image_size", self.tile_size), ("classes", 255)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 to {most}: change it.")
        if not 0 <= self.ignore <= 255 or not 0 <= self.min_tissue <= 1:
            expected = "expected 0 to 255 and 0 to 1"
            raise ValueError(f"ignore and min_tissue are {self.ignore} and {self.min_tissue}, {expected}: change them.")


@dataclass
class Tile:
    """Image (image_size, image_size, 3) and mask (image_size, image_size), uint8; its first row and column; tissue."""

    image: np.ndarray
    mask: np.ndarray
    place: tuple[int, int]
    tissue: float


# Cutting


def starts(length: int, cut: Cut) -> list[int]:
    """First pixels of the tiles along an axis: as many as it takes to reach the end, one at least."""
    return [cut.stride * number for number in range(1 + -(-max(0, length - cut.tile_size) // cut.stride))]


def tiles_of_slide(slide: Slide, mask: Slide, cut: Cut) -> Iterator[Tile]:
    """All tiles, row by row; what a row of tiles needs is in memory, no more.

    Raises:
        ValueError: where the mask has another size or other classes, or a file can not be read; it names the file.
    """
    if mask.size != slide.size:
        sizes = [f"{one.path} has {one.size[0]} x {one.size[1]} pixels" for one in (mask, slide)]
        found = ", but ".join(sizes)
        raise ValueError(f"{found}; expected the same: export the mask at full resolution.")
    for top in starts(slide.size[0], cut):
        last = min(top + cut.tile_size, slide.size[0])
        colours, classes = slide.colours(top, last), mask.classes(top, last)  # (h, W, 3), (h, W)
        for left in starts(slide.size[1], cut):
            part = np.s_[:, left : left + cut.tile_size]
            _check_classes(classes[part], mask.path, cut)
            image, own = padded(colours[part], classes[part], cut)
            image, own = resized(image, cut, Image.Resampling.BOX), resized(own, cut, Image.Resampling.NEAREST)
            yield Tile(image, own, (top, left), tissue(image, classes[part].shape, cut))


def _check_classes(mask: np.ndarray, path: Path, cut: Cut) -> None:
    wrong = mask[(mask >= cut.classes) & (mask != cut.ignore)]
    if wrong.size:
        found = f"{path} holds the values {', '.join(map(str, np.unique(wrong)[:8]))}"
        raise ValueError(f"{found}; expected 0 to {cut.classes - 1} (or {cut.ignore}): correct the mask, or --classes.")


def padded(image: np.ndarray, mask: np.ndarray, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Fill up to tile_size below and to the right: the image by reflection, the mask with the value to ignore."""
    more = [(0, cut.tile_size - length) for length in mask.shape]
    if not any(after for _, after in more):
        return image, mask
    return np.pad(image, [*more, (0, 0)], "reflect"), np.pad(mask, more, constant_values=cut.ignore)


def resized(array: np.ndarray, cut: Cut, method: Image.Resampling) -> np.ndarray:
    """To image_size."""
    return np.asarray(Image.fromarray(array).resize((cut.image_size, cut.image_size), method))


def tissue(image: np.ndarray, inside: Sequence[int], cut: Cut) -> float:
    """Part of a written tile that is tissue; what was reflected (beyond `inside`, pixels of the slide) is none."""
    rows, columns = (round(length * cut.image_size / cut.tile_size) for length in inside)
    return float(
        is_foreground(to_cielab(image[:rows, :columns].transpose(2, 0, 1)), cut.luminance).sum() / image[..., 0].size
    )


# Writing


def write_slide(stem: str, image: Path, mask: Path, cut: Cut, output: Path) -> dict[str, Any]:
    """Write the tiles of one slide that are pictures of tissue, and its record; where it fails none of them stays."""
    record: dict[str, Any] = {"cut": asdict(cut), "files": _state(image, mask), "tiles": [], "left_out": 0}
    most = 0.0
    try:
        with open_slide(image) as slide, open_slide(mask) as own:
            for tile in tiles_of_slide(slide, own, cut):
                most = max(most, tile.tissue)
                # A tile of one value, such as a scanner's fill, is no picture.
                if tile.tissue < cut.min_tissue or tile.image.min() == tile.image.max():
                    record["left_out"] += 1
                    continue
                name = f"{stem}_y{tile.place[0]:06d}_x{tile.place[1]:06d}.png"
                for folder, array in (("images", tile.image), ("masks", tile.mask)):
                    with atomic_file(output / folder / name) as file:
                        Image.fromarray(array).save(file, "PNG")
                record["tiles"].append(name)
        if most == 0:
            expected = some_tissue(cut.luminance)
            raise ValueError(f"{image} has no pixel of tissue; {expected}: remove it, or change --luminance.")
    except Exception:
        _remove(record["tiles"], output)
        raise
    write_text_atomically(json.dumps(record, indent=2) + "\n", _record_of(stem, output))
    return record


def _state(*files: Path) -> list[list[int]]:
    """Size and time of last change of each file, by which another one in its place is noticed."""
    return [[file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _remove(tiles: Iterable[str], output: Path) -> None:
    for name in tiles:
        for folder in ("images", "masks"):
            (output / folder / name).unlink(missing_ok=True)


def _tidy(records: Mapping[str, dict], stems: Iterable[str], output: Path) -> None:
    """Remove tiles that an interrupted run left of these slides.

    Raises:
        ValueError: where there are tiles of other slides.
    """
    recorded = {name for record in records.values() for name in record["tiles"]}
    left = {path.name for path in (output / "images").glob("*.png")} - recorded
    own = {name for name in left if TILE.sub("", name) in set(stems)}
    _remove(own, output)
    if others := sorted(left - own):
        expected = "expected tiles of the slides that are there alone: put the slide back, or give another --output"
        raise ValueError(f"{output / 'images'} has {others[0]} and {len(others) - 1} more of other slides; {expected}.")


def _record_of(stem: str, output: Path) -> Path:
    return output / "slides" / f"{stem}.json"


def earlier(stem: str, files: list[Path], cut: Cut, output: Path) -> dict[str, Any] | None:
    """The record of a slide that is done already; None where it is not, or where its files have changed since.

    Raises:
        ValueError: where it was cut in another way.
    """
    path = _record_of(stem, output)
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record["cut"] != json.loads(json.dumps(asdict(cut))):
        raise ValueError(f"{output} has tiles that were cut in another way ({path}): give another --output.")
    if record.get("files") != _state(*files):
        path.unlink()
        _remove(record["tiles"], output)
        return None
    return record


def write_lists(records: dict[str, dict], rows: dict[str, dict], owner: dict[str, str], by: str, output: Path) -> dict:
    """Write manifest.csv and datalist.json of all tiles, whose items say their slide and their place on it."""
    column, splits = ("group" if by == "image" else by), any("split" in row for row in rows.values())
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "slide", column, *(["split"] if splits else [])])
    slide_of = {name: stem for stem, record in records.items() for name in record["tiles"]}
    for name, stem in slide_of.items():
        table.writerow([name, stem, owner[stem], *([rows[stem]["split"]] if splits else [])])
    write_text_atomically(text.getvalue(), output / "manifest.csv")
    content = {"layout": "folder", **folder_datalist(output)}
    for item in (item for key in KEYS for item in content[key]):
        name = Path(name_of(item)).name
        item["slide"] = slide_of[name]
        item["place"] = [*map(int, TILE.findall(name)[0]), records[item["slide"]]["cut"]["tile_size"]]
    write_datalist(content, output / FILE)
    return content


def cut_slides(folder: Path, output: Path, cut: Cut) -> dict:
    """Cut all slides of a folder; those that can not be are told at the end, and the others are cut all the same.

    Returns:
        The datalist of all tiles.

    Raises:
        ValueError: with all problems.
    """
    folder = existing(folder)
    images, masks = paired_files(folder, SUFFIXES)
    rows = read_manifest(folder, images, SUFFIXES)
    owner, by = owners(rows, images)
    check_writable(output)
    records, problems = {}, []
    for stem, image in images.items():
        done = earlier(stem, [image, masks[stem]], cut, output)
        try:
            records[stem] = done or write_slide(stem, image, masks[stem], cut, output)
        except ValueError as error:
            problems.append(str(error))
            continue
        counts = f"{len(records[stem]['tiles'])} tiles, {records[stem]['left_out']} left out for want of tissue"
        print(f"{stem}: {counts}{', done before' if done else ''}", flush=True)
    failed = f"{len(problems)} of {len(images)} slides could not be cut" if problems else "the tiles can not be listed"
    content = {}
    try:
        _tidy(records, images, output)
        if any(own["tiles"] for own in records.values()):
            content = write_lists(records, rows, owner, by, output)
        elif not problems:
            problems.append(f"no tile has {cut.min_tissue:g} of tissue; expected some: lower --min_tissue.")
    except ValueError as error:
        problems.append(str(error))
    refuse(failed, problems)
    return content


def main(arguments: Sequence[str] | None = None) -> None:
    """Cut whole slides and their masks into tiles."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.data.tiles", description=main.__doc__)
    parser.add_argument("slides", type=Path, help="folder with images/, masks/ and manifest.csv")
    parser.add_argument("--output", type=Path, required=True, help="folder of the tiles; the same one to go on")
    parser.add_argument("--tile_size", type=int, default=Cut.tile_size, help="side in pixels of the slide")
    parser.add_argument("--stride", type=int, help="pixels from tile to tile; default: tile_size")
    parser.add_argument("--image_size", type=int, default=Cut.image_size, help="side of what is written")
    parser.add_argument("--classes", type=int, default=Cut.classes, help="number of classes in the masks")
    parser.add_argument("--ignore", type=int, default=Cut.ignore, help="value of masks outside of the slide")
    parser.add_argument("--min_tissue", type=float, default=Cut.min_tissue, help="least part of a tile, 0 to 1")
    parser.add_argument(
        "--luminance", type=float, nargs=2, default=LUMINANCE, metavar=("ABOVE", "UP_TO"), help="L, tissue"
    )
    options = vars(parser.parse_args(arguments))
    slides, output = options.pop("slides"), options.pop("output")
    options["stride"] = options["tile_size"] if options["stride"] is None else options["stride"]
    options["luminance"] = tuple(options["luminance"])
    try:
        content = cut_slides(slides, output, Cut(**options))
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(
        f"{output / FILE}: "
        + ", ".join(f"{key} {len(content[key])}" for key in KEYS)
        + f", split by {content['split_by']}"
    )


if __name__ == "__main__":
    main()
