"""Demonstration data sets: generated pictures or volumes with masks, to try every command on, without a patient's.

    python -m noise2mask.data.demo --output DIR [--kind ultrasound] [--layout folder] [--patients 200] [--seed 0]

DEMOS maps the name of a kind to the function that writes it: write(folder, patients, seed, layout).
"""

import argparse
from collections.abc import Sequence

from .demo_abdomen import write_demo as write_abdomen
from .demo_files import LAYOUTS
from .demo_tissue import write_demo as write_tissue
from .demo_ultrasound import write_demo as write_ultrasound

__all__ = ["DEMOS", "main"]

DEMOS = {"ultrasound": write_ultrasound, "abdomen": write_abdomen, "tissue": write_tissue}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a generated data set, the same to the last byte for the same arguments."""
    parser = argparse.ArgumentParser(prog="python -m noise2mask.data.demo", description=main.__doc__)
    parser.add_argument("--output", required=True, help="a new or an empty folder")
    parser.add_argument("--kind", default="ultrasound", choices=sorted(DEMOS))
    parser.add_argument("--layout", default="folder", choices=LAYOUTS)
    parser.add_argument("--patients", type=int, default=200, help="each has 1 to 3 pictures, a volume or a slide")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        folder = DEMOS[options.kind](options.output, options.patients, options.seed, options.layout)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{folder}: {options.kind}, {options.patients} patients, layout {options.layout}")


if __name__ == "__main__":
    main()
