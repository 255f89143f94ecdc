"""Peak memory of cutting one slide of 21,000 x 21,000 pixels into tiles, of finding its colours, and of segmenting it.

python benchmarks/whole_slide.py [--side 21000]

The slide is generated (deflated TIFF tiles of 256 x 256; about 0.4 GB in the temporary folder), its mask too.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch
from bundles import made
from side_by_side import header

TILE = 256
SEGMENTED = 1024  # side of the tiles that are segmented, in pixels of the slide
COMMANDS = {
    "tiles": "noise2mask.data.tiles",
    "colours": "noise2mask.data.slide_colours",
    "segment": "noise2mask.cli.app",
}
RUN = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
    if end.code:
        raise
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    """One line for each command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--side", type=int, default=21_000)
    side = parser.parse_args().side
    header()
    with tempfile.TemporaryDirectory() as folder:
        slides, tiles = Path(folder) / "slides", Path(folder) / "tiles"
        write_slide(slides, side)
        print(f"tiles: {peak('tiles', slides, '--output', tiles):.0f} MiB at most, of a slide of {side} x {side}")
        print(f"colours: {peak('colours', tiles):.0f} MiB at most")
        bundle, weights = "diffusiondci_segmentation", Path(folder) / "model.pt"
        torch.save(made(bundle)[0].state_dict(), weights)  # as drawn
        how = ["-o", Path(folder) / "out", "--weights", weights, "--tile-size", str(SEGMENTED), "--samples", "1"]
        segmented = peak("segment", "segment", bundle, slides / "images" / "slide.tif", *how)
        print(f"segment: {segmented:.0f} MiB at most, tiles of {SEGMENTED} pixels")


def write_slide(folder: Path, side: int) -> None:
    """Image and mask, written tile by tile."""
    for kind, channels in (("images", 3), ("masks", 1)):
        (folder / kind).mkdir(parents=True)
        shape = (side, side, 3) if channels == 3 else (side, side)
        options = {"tile": (TILE, TILE), "compression": "zlib", "shape": shape, "dtype": np.uint8}
        tifffile.imwrite(folder / kind / "slide.tif", _tiles(side, channels), **options)
    with open(folder / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["image", "patient", "split"], ["slide.tif", "1", "train"]])


def _tiles(side: int, channels: int) -> Iterator[np.ndarray]:
    """All tiles, row by row."""
    random = np.random.default_rng(0)
    colours = random.integers(60, 200, (TILE, TILE, 3), dtype=np.uint8)
    for number in range((-(-side // TILE)) ** 2):
        mask = np.full((TILE, TILE), number % 3, np.uint8)
        yield mask if channels == 1 else np.roll(colours, number, axis=0)


def peak(command: str, *arguments: str | Path) -> float:
    """MiB that the command takes at most, in a process of its own."""
    run = [sys.executable, "-c", RUN, COMMANDS[command], *map(str, arguments)]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    return int(done.stdout.split("PEAK")[1]) / 2**10


if __name__ == "__main__":
    main()
