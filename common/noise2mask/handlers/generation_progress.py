"""After every validation images of the same masks and references, made from the same noise by the weights validated.

Legend: B masks, C image channels, K classes, H W size, h w that of references.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch import Tensor

from ..diffusion.image_inferer import ImageInferer
from ..explain.progress import generation_picture
from ..seeding import derived_seed
from .progress import Progress, on_cpu

KEYS = ("label", "reference", "image")


class GenerationProgress(Progress):
    """Of a validator of DSDM: mask, reference, generated and real image of some tiles, evenly spread over its data.

    Noise comes from generators of its own: a training's random states stay as they are.

    Args:
        output_dir: where `progress.png` and the events go.
        inferer:    makes one image of each, in few steps.
        cases:      how many are shown.
    """

    columns = "mask, reference, generated, real"

    def __init__(self, output_dir: str, inferer: ImageInferer, cases: int = 4) -> None:
        super().__init__(output_dir, exclusive=True, cases=cases)
        self.inferer = inferer

    def items(self, engine: Engine) -> Iterator[Mapping[str, Tensor]]:
        """Those of this batch, one by one."""
        batch: Any = engine.state.batch
        return ({key: batch[key][i] for key in KEYS} for i in range(len(batch[KEYS[0]])))

    def case(self, item: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """What is kept of an item: mask (K, H, W), reference (C, h, w) and image (C, H, W)."""
        return tuple(on_cpu(item[key]) for key in KEYS)

    def picture(self, engine: Engine) -> np.ndarray:
        """(rows, columns, 3) uint8."""
        device = engine.state.device
        masks, references, _ = (torch.stack(tensors).to(device) for tensors in zip(*self.kept, strict=True))
        seeds = [derived_seed(self.inferer.seed, number) for number in range(len(masks))]
        made = self.inferer.generate(masks, references, engine.network, seeds=seeds)[:, 0].cpu()
        shown = zip(self.kept, made, strict=True)
        return generation_picture(
            [(mask, (reference + 1) / 2, own, (image + 1) / 2) for (mask, reference, image), own in shown]
        )
