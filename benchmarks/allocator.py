"""A training step, in processes that give freed memory back to Linux, which zeroes it, against processes that keep it.

python benchmarks/allocator.py

The second have the variables of docs/how-to/cpu.md. In bfloat16, otherwise as benchmarks/precision.py, a process each.
"""

import argparse
import os
import statistics
import subprocess
import sys

from precision import ROWS, step
from side_by_side import header, seconds

KEEPING = {  # glibc: no memory of its own for large tensors, none given back; PyTorch: huge pages
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "THP_MEM_ALLOC_ENABLE": "1",
}
ROUNDS = 3


def main() -> None:
    """One line for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--row", help=argparse.SUPPRESS)
    row = parser.parse_args().row
    if row:
        print(measured(row))
        return
    header()
    for title in ROWS:
        pairs = [(in_a_process(title, {}), in_a_process(title, KEEPING)) for _ in range(ROUNDS)]
        medians = [statistics.median(times) * 1000 for times in zip(*pairs, strict=True)]
        quotient = statistics.median(usual / keeping for usual, keeping in pairs)
        print(f"{title:58}{medians[0]:10.1f} ms{medians[1]:10.1f} ms{quotient:8.2f}x", flush=True)


def in_a_process(title: str, variables: dict[str, str]) -> float:
    """Median seconds of a step."""
    words = [sys.executable, __file__, "--row", title]
    done = subprocess.run(words, env={**os.environ, **variables}, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measured(title: str) -> float:
    """Median of five steps after two."""
    bundle, overlays, batch, size = ROWS[title]
    work = step(bundle, overlays, batch, size, "bfloat16")
    return statistics.median([seconds(work) for _ in range(7)][2:])


if __name__ == "__main__":
    main()
