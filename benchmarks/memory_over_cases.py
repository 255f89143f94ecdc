"""Peak memory of `noise2mask segment` over few and over many pictures: it must not grow with their number.

python benchmarks/memory_over_cases.py --pictures 5 40
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from noise2mask import PGDiffSeg

SIZE = (1200, 1600)  # rows, columns: 7.3 MiB for each map of 32 bits
SETTINGS = {"image_size": "[32,32]", "network_def::multipliers": "[1,2]", "samples": 2, "progress": "false"}


def main() -> None:
    """Segment folders of several sizes, each in a process of its own."""
    parser = argparse.ArgumentParser(description="Peak memory over few and over many pictures.")
    parser.add_argument("--pictures", type=int, nargs="+", default=[5, 40])
    numbers = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.pt"
        torch.save(PGDiffSeg(base=8, multipliers=(1, 2), dense_layers=2, num_groups=4).state_dict(), weights)
        peaks = [peak(Path(folder), number, weights) for number in numbers]
    for number, found in zip(numbers, peaks, strict=True):
        print(
            f"{number:5d} pictures of {SIZE[0]} x {SIZE[1]}: peak {found:7.0f} MiB, {found / peaks[0]:.3f} of the first"
        )


def peak(folder: Path, number: int, weights: Path) -> float:
    """MiB of a process that segments so many pictures."""
    images = folder / f"{number}_images"
    images.mkdir()
    for k in range(number):
        values = np.random.default_rng(k).integers(0, 255, SIZE, dtype=np.uint8)
        Image.fromarray(values).save(images / f"{k}.png", compress_level=1)
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    call = ["segment", "pgdiffseg", str(images), "-o", str(folder / f"{number}_out"), "--weights", str(weights)]
    command = [sys.executable, "-m", "noise2mask.cli.app", *call, *settings]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, "the command failed: run it by hand"
    return used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
