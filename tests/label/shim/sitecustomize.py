"""Lets `import torchvision` work where its wheel is built for CUDA and PyTorch is not.

The wheel on PyPI is a CUDA build: beside a CPU build of PyTorch its library does not load, and the import dies on
operators that it should have brought. MONAI Label needs only torchvision's pure Python parts, for which it is enough
that these operators are declared. Put this folder on PYTHONPATH; where the library loads, nothing is declared.
"""

import importlib.abc
import importlib.util
import sys
from pathlib import Path

OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
kept = []  # a declaration lives as long as its library object


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Declares the operators when torchvision is looked for, and finds nothing itself."""

    def find_spec(self, fullname, path=None, target=None):
        """Look on behalf of nobody: the next finder finds torchvision."""
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            declare()


def declare() -> None:
    """Declare the operators, unless torchvision's own library does."""
    import torch  # here: this file runs at the start of every Python

    spec = importlib.util.find_spec("torchvision")
    for library in sorted(Path(folder) / "_C.so" for folder in spec.submodule_search_locations) if spec else []:
        try:
            return torch.ops.load_library(str(library))
        except OSError:
            continue
    kept.append(torch.library.Library("torchvision", "DEF"))
    for name in OPERATORS:
        kept[0].define(name + SIGNATURE)


sys.meta_path.insert(0, BeforeTorchvision())
