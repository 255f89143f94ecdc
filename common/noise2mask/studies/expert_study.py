"""A study that asks experts whether they can tell synthetic tiles from real ones, as files.

DiffusionDCI showed five pathologists 100 real and 100 synthetic tiles ("Expert assessment"; its accuracies come in
steps of a half per cent).

    python -m noise2mask.studies.expert_study export --real FOLDER --synthetic FOLDER --output STUDY
    python -m noise2mask.studies.expert_study score STUDY_key.csv sheet_1.csv sheet_2.csv

STUDY is what an expert gets: images/ in random order, freed of all but their pixels, scores.csv to fill in a copy of,
and instructions.md. The key stands outside of it.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.layout_files import existing, stem_of
from ..data.layout_folder import paired_files, read_manifest
from ..data.problems import refuse
from ..data.reader import ColourReader
from ..files import write_text_atomically
from ..metrics.score_files import csv_text
from .expert_scores import ANSWERS, CONFIDENCE, KIND, KINDS, SHEET, write_expert_scores
from .tile_folder import class_pixels, dominant, is_new, whole_folder

MADE_OF = ("mask", "reference")  # columns of a generated folder's manifest: tiles that a synthetic one was made of
TIME = 315_532_800  # 1980-01-01, of all pictures
INSTRUCTIONS = """# Real or synthetic?

`images/` has {count} tiles of tissue. Some are real, the others were made by a network.

Make a copy of `scores.csv`, name it after yourself, and fill in one line for each tile, whose `id` is its file's name:

| column | write | question |
|---|---|---|
| `class` | {classes} | which of these does most of the tissue in the tile belong to? |
| `{kind}` | {kinds} | is the tile real or synthetic? |
| `confidence` | {confidence} | how sure are you that it is real, or synthetic? 1 very unsure, 5 very sure |

Judge every tile by itself, in any order, and guess where you do not know: no field stays empty. Look at the tiles only,
not at the files' properties, and do not speak with other experts before all are done.
"""


@dataclass(frozen=True)
class Pool:
    """Tiles to draw from.

    Args:
        images:  by stem.
        classes: name of the class -> stems of the tiles where it is the dominant one.
        made_of: stem -> stems of real tiles that a synthetic one was made of, as far as its manifest says.
    """

    images: Mapping[str, Path]
    classes: Mapping[str, Sequence[str]]
    made_of: Mapping[str, set[str]]


# Drawing


def pool_of(folder: Path, names: Sequence[str] = ()) -> Pool:
    """All tiles of a folder.

    Args:
        folder: has images/ and masks/, and may have a manifest.csv.
        names:  of the values 0, 1, ... of masks; none: values are their own names.

    Raises:
        ValueError: where a mask holds a value without a name, or files do not fit together; it names them.
    """
    folder = existing(folder)
    images, masks = paired_files(folder)
    rows = read_manifest(folder, images)
    classes: dict[str, list[str]] = {}
    for stem, mask in masks.items():
        value = dominant(class_pixels(mask))
        if names and not 0 <= value < len(names):
            raise ValueError(f"{mask} holds the value {value}; expected 0 to {len(names) - 1}: name more --classes.")
        classes.setdefault(names[value] if names else str(value), []).append(stem)
    made_of = {stem: {stem_of(row[n]) or row[n] for n in MADE_OF if row.get(n)} for stem, row in rows.items()}
    return Pool(images, {name: classes[name] for name in sorted(classes)}, made_of)


def draw(real: Pool, synthetic: Pool, tiles: int, random: np.random.Generator) -> list[tuple[str, str, str]]:
    """Pairs of the same class, as even over the classes as there are tiles: class, real stem, synthetic stem.

    No real tile is drawn that a drawn synthetic one was made of: seen side by side, both would be known.

    Raises:
        ValueError: where there are not so many; it says how many each class has.
    """
    names = [name for name in real.classes if name in synthetic.classes]
    left = {n: tuple(_shuffled(pool.classes[n], random) for pool in (real, synthetic)) for n in names}
    pairs: list[tuple[str, str, str]] = []
    while left:
        for name in list(left):
            if len(pairs) == tiles:
                return pairs
            pair = _next_pair(left[name][0], left[name][1], synthetic.made_of, pairs)
            if pair is None:
                left.pop(name)
            else:
                pairs.append((name, *pair))
    raise ValueError(_too_few(real, synthetic, tiles, len(pairs)))


def _shuffled(stems: Sequence[str], random: np.random.Generator) -> list[str]:
    return [stems[i] for i in random.permutation(len(stems))]


def _next_pair(
    real: list[str], synthetic: list[str], made_of: Mapping[str, set[str]], pairs: Sequence[tuple[str, str, str]]
) -> tuple[str, str] | None:
    """Take the first real and the first synthetic tile that go together and with those that are drawn, if any do."""
    drawn, used = {own for _, own, _ in pairs}, set().union(*(made_of.get(own, set()) for _, _, own in pairs))
    for made in synthetic:
        sources = made_of.get(made, set())
        found = next((own for own in real if own not in used | sources), None)
        if found is not None and not sources & drawn:
            real.remove(found)
            synthetic.remove(made)
            return found, made
    return None


def _too_few(real: Pool, synthetic: Pool, tiles: int, found: int) -> str:
    counts = ", ".join(
        f"{name} {len(real.classes.get(name, []))} and {len(synthetic.classes.get(name, []))}"
        for name in sorted({*real.classes, *synthetic.classes})
    )
    said = f"{tiles} real and {tiles} synthetic tiles of the same classes were asked for, {found} of each were found"
    return (
        f"{said} (real and synthetic by class: {counts}; none whose mask or reference is drawn as a real tile); "
        "expected more: give larger folders, or fewer --tiles."
    )


# Writing


def export(
    real: Path, synthetic: Path, output: Path, key: Path, tiles: int, seed: int = 0, names: Sequence[str] = ()
) -> int:
    """Write the study, whole or not at all, and its key.

    Args:
        real:      folder of real tiles.
        synthetic: folder of synthetic tiles.
        output:    new folder of the study.
        key:       where the answers go, outside of it.
        tiles:     of each kind.
        seed:      of what is drawn and of the order.
        names:     of the values 0, 1, ... of masks.

    Returns:
        The number of pictures.

    Raises:
        ValueError: where the output is not new, the key would stand in it or replace another, there are too few tiles,
            or they differ in size.
    """
    if key.resolve().is_relative_to(output.resolve()):
        raise ValueError(f"the key {key} stands in {output}, which experts get; expected it outside: change --key.")
    if not is_new(output):
        raise ValueError(f"{output} is not empty; expected a new folder, sheets may be in use: give another --output.")
    if tiles < 1 or seed < 0:
        raise ValueError(f"tiles is {tiles} and seed {seed}; expected 1 or more, and 0 or more: change them.")
    if existing(real).resolve() == existing(synthetic).resolve():
        raise ValueError(f"{real} is given as real and as synthetic; expected two folders: correct one.")
    pools, random = (pool_of(real, names), pool_of(synthetic, names)), np.random.default_rng(seed)
    drawn = [
        (name, kind, pool.images[own])
        for name, *stems in draw(*pools, tiles, random)
        for kind, pool, own in zip(KINDS, pools, stems, strict=True)
    ]
    study = [drawn[i] for i in random.permutation(len(drawn))]
    ids = [f"{number:0{max(3, len(str(len(study))))}}" for number in range(1, len(study) + 1)]
    with whole_folder(output) as folder:
        _write_pictures([path for _, _, path in study], ids, folder / "images")
        write_text_atomically(csv_text([dict.fromkeys(SHEET, "") | {"id": own} for own in ids]), folder / "scores.csv")
        text = instructions(sorted({name for name, _, _ in study}), len(study))
        write_text_atomically(text, folder / "instructions.md")
        answers = [(own, *answer) for own, answer in zip(ids, study, strict=True)]
        _write_key([{"id": own, "class": n, KIND: kind, "file": str(path)} for own, n, kind, path in answers], key)
    return len(study)


def _write_pictures(paths: Sequence[Path], ids: Sequence[str], folder: Path) -> None:
    """Pixels alone, all with one encoder and without compression: every file has the same size and time."""
    folder.mkdir()
    sizes: dict[tuple[int, ...], list[Path]] = {}
    for path, own in zip(paths, ids, strict=True):
        picture = colours_of(path)  # (H, W, 3)
        sizes.setdefault(picture.shape[:2], []).append(path)
        Image.fromarray(picture).save(folder / f"{own}.png", "PNG", compress_level=0)
        os.utime(folder / f"{own}.png", (TIME, TIME))
    said = "expected one size, which tells nothing: cut or generate them alike"
    refuse(
        f"the tiles have {len(sizes)} sizes; {said}",
        [f"{h} x {w}: {len(own)} tiles, {own[0]} for one" for (h, w), own in sizes.items() if len(sizes) > 1],
    )


def colours_of(path: Path) -> np.ndarray:
    """A picture as uint8 (H, W, 3).

    Raises:
        ValueError: where it has not 8 bits; it names the file.
    """
    array = ColourReader().channels(path)[0]  # (3, W, H)
    if len(array) != 3 or array.ndim != 3 or array.max() > 255 or (array % 1).any():
        raise ValueError(f"{path} is no picture of 8 bits, grey or in colour; expected one: convert it.")
    return np.ascontiguousarray(array.T.astype(np.uint8))


def _write_key(rows: Sequence[Mapping[str, str]], key: Path) -> None:
    """The key; one that is there already is not replaced by another."""
    text = csv_text(rows)
    if key.exists() and key.read_text(encoding="utf-8") != text:
        raise ValueError(f"{key} is there already, the key of another study; expected none: give another --key.")
    write_text_atomically(text, key)


def instructions(classes: Sequence[str], count: int) -> str:
    """What an expert is told, in Markdown."""
    words = {"classes": ", ".join(classes), "kinds": " or ".join(KINDS), "confidence": ", ".join(CONFIDENCE)}
    return INSTRUCTIONS.format(count=count, kind=ANSWERS[1], **words)


# The command


def main(arguments: Sequence[str] | None = None) -> None:
    """Export a study in which experts tell real from synthetic tiles, or score the sheets that they have filled in."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.studies.expert_study", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("export", help="draw tiles, and write study and key")
    for kind in KINDS:
        make.add_argument(f"--{kind}", type=Path, required=True, help=f"folder of {kind} tiles: images/ and masks/")
    make.add_argument("--output", type=Path, required=True, help="new folder of the study")
    make.add_argument("--tiles", type=int, default=100, help="of each kind; default: 100, as in the paper")
    make.add_argument("--seed", type=int, default=0, help="of what is drawn and of the order")
    make.add_argument("--key", type=Path, help="default: OUTPUT_key.csv, beside the study")
    make.add_argument("--classes", nargs="+", default=[], help="names of the values 0, 1, ... of masks")
    score = commands.add_parser("score", help="score filled-in sheets")
    score.add_argument("key", type=Path)
    score.add_argument("sheets", type=Path, nargs="+", help="one of each expert, named after them")
    score.add_argument("--output", type=Path, help="folder of expert_study.json and .md; default: that of the key")
    own = parser.parse_args(arguments)
    try:
        if own.command == "score":
            print(write_expert_scores(own.key, own.sheets, own.output or own.key.parent))
            return
        key = own.key or own.output.resolve().with_name(f"{own.output.resolve().name}_key.csv")
        count = export(own.real, own.synthetic, own.output, key, own.tiles, own.seed, own.classes)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{own.output}: {count} tiles for the experts; {key}: the answers, not for them")


if __name__ == "__main__":
    main()
