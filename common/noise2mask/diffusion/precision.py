"""How many bits a training step computes with."""

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import SimpleInferer
from torch import Tensor

from ..names import check_name

PRECISIONS = ("float32", "bfloat16")


class PrecisionInferer(SimpleInferer):
    """MONAI's `SimpleInferer` under autocast: a network's forward pass in training.

    bfloat16 has float32's range, so that no loss has to be scaled; weights, their average and losses stay in float32.
    It is faster where the processor multiplies it: GPUs from Ampere on, CPUs with AVX512-BF16 or AMX.

    Args:
        precision: "float32" or "bfloat16".

    Raises:
        ValueError: where the name is unknown.
    """

    def __init__(self, precision: str = "float32") -> None:
        super().__init__()
        check_name("precision", precision, PRECISIONS)
        self.precision = precision

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `network(inputs, *args, **kwargs)`."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return network(inputs, *args, **kwargs)
