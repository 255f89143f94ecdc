"""A folder of tiles once more, each with the mean colours of its slide: as networks with `normalise_colours` see them.

    python -m noise2mask.data.normalised_tiles TILES --output NORMALISED

after `python -m noise2mask.data.slide_colours TILES`. Real tiles that stand beside generated ones, in a training, in
front of a segmenter or of experts, must have the same colours. Masks and lists are copied.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import atomic_file, check_writable
from .datalist import load_whole, write_datalist
from .item_paths import name_of, paths_of
from .layouts import FILE
from .reader import ColourReader
from .slide_colours import read_colours, tiles_of, to_slide
from .splits import KEYS

COLOURS, MANIFEST = "slide_colours.json", "manifest.csv"


def write_normalised(folder: Path, output: Path) -> int:
    """Write all tiles.

    Args:
        folder: of tiles, with datalist.json and slide_colours.json.
        output: gets images/, masks/, datalist.json and manifest.csv.

    Returns:
        How many.

    Raises:
        ValueError: where a file is missing or another, or slides have no colours; it names it.
    """
    if output.resolve() == folder.resolve():
        raise ValueError(f"{output} has the tiles themselves, expected another folder: give another --output.")
    colours, luminance = read_colours(folder / COLOURS)
    items = tiles_of(folder)
    if missing := sorted({str(item["slide"]) for item in items} - set(colours)):
        raise ValueError(f"{folder / COLOURS} has no slide {missing[0]}: write it again for all tiles.")
    check_writable(output)
    for item in items:
        tile, _ = ColourReader().channels(item["image"])  # (3, W, H)
        moved = to_slide(tile, colours[str(item["slide"])], luminance).round().astype(np.uint8)
        with atomic_file(output / "images" / Path(name_of(item)).name) as file:
            Image.fromarray(moved.transpose(2, 1, 0)).save(file, "PNG")
        for path in map(Path, paths_of(item["label"])):
            with atomic_file(output / "masks" / path.name) as file:
                file.write(path.read_bytes())
    _write_lists(folder, output)
    return len(items)


def _write_lists(folder: Path, output: Path) -> None:
    content = load_whole(folder / FILE)
    for item in (item for key in KEYS for item in content.get(key, [])):
        for key, kind in (("image", "images"), ("label", "masks")):
            paths = [str((output / kind / Path(path).name).absolute()) for path in paths_of(item[key])]
            item[key] = paths if isinstance(item[key], list) else paths[0]
    if (folder / MANIFEST).is_file():
        shutil.copy(folder / MANIFEST, output / MANIFEST)
    write_datalist(content, output / FILE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write tiles with the mean colours of their slides into another folder."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.data.normalised_tiles", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="of tiles, with datalist.json and slide_colours.json")
    parser.add_argument("--output", type=Path, required=True, help="folder that is written")
    options = parser.parse_args(arguments)
    try:
        count = write_normalised(options.folder, options.output)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{options.output / FILE}: tiles {count}")


if __name__ == "__main__":
    main()
