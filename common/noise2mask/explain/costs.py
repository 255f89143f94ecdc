"""What a mask costs, as benchmarks/peers.py writes it."""

from collections.abc import Mapping
from typing import Any

from ..metrics.table import markdown


def cost_table(result: Mapping[str, Any]) -> str:
    """A row per way, and the machine.

    Args:
        result: `machine`, `size` (of the image), `rounds` and `rows` with `title`, `parameters`, `samples`,
            `evaluations` (of each), `seconds` per image, `ratio` (times the first row's) and `mib` of the process.
    """
    head = [
        "way",
        "parameters, million",
        "samples x evaluations",
        "seconds per image",
        "times the default",
        "peak memory",
    ]
    rows = [
        [
            row["title"],
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['samples']} x {row['evaluations']}",
            f"{row['seconds']:.3g}",
            f"{row['ratio']:.2f}",
            f"{row['mib']:.0f} MiB",
        ]
        for row in result["rows"]
    ]
    size = " x ".join(map(str, result["size"]))
    rounds = "one round" if result["rounds"] == 1 else f"medians of {result['rounds']} rounds"
    return f"{markdown(head, rows)}\n\nAn image of {size}, {result['machine']}; {rounds}."
