"""A training step in bfloat16 with PyTorch's own GroupNorm against ours, on a CPU, channels last.

python benchmarks/group_norm.py
"""

from collections.abc import Callable
from unittest import mock

from precision import ROWS, step
from side_by_side import header, ratio
from torch import nn

from noise2mask.layers.norm import GroupNorm


def main() -> None:
    """One line for each network that has GroupNorm, and one with a group for each channel."""
    header()
    for title, row in ROWS.items():
        if title != "BasicUNet":
            compared(title, step(*row, "bfloat16"))
    compared("PGDiffSeg, a group per channel", step(*ROWS["PGDiffSeg"], "bfloat16", {"network_def::num_groups": 96}))


def compared(title: str, work: Callable[[], None]) -> None:
    """The same step with the forward pass of either."""

    def theirs() -> None:
        with mock.patch.object(GroupNorm, "forward", nn.GroupNorm.forward):
            work()

    ratio(title, theirs, work, runs=3)


if __name__ == "__main__":
    main()
