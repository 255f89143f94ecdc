"""A MONAI evaluator that makes images for a batch of masks and references.

Legend: B masks, N images of each, C image channels, K classes, H W size.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from monai.engines import IterationEvents, SupervisedEvaluator
from monai.utils import CommonKeys

from ..meta import files_of
from .evaluator import ResumableEvaluator
from .image_inferer import ImageInferer, seed_of

REFERENCE = "reference"


class GenerationEvaluator(ResumableEvaluator):
    """Its inferer is an `ImageInferer`; an iteration's output holds `pred` (B, N, C, H, W) in [0, 1] beside the batch.

    Batches have `label`, one-hot (B, K, H, W), `reference` (B, C, h, w) and `name`, from which noise follows. Arguments
    are those of `monai.engines.SupervisedEvaluator`.
    """

    def _iteration(self, engine: SupervisedEvaluator, batchdata: Mapping[str, Any]) -> dict[str, Any]:
        """One batch.

        Raises:
            ValueError: where a sample is not finite, or a mask does not fit; it names the files of the batch.
        """
        device = engine.state.device
        mask, reference = (batchdata[key].to(device) for key in (CommonKeys.LABEL, REFERENCE))
        inferer = cast(ImageInferer, engine.inferer)
        with engine.mode(engine.network), torch.autocast(device.type, enabled=engine.amp and device.type == "cuda"):
            try:
                seeds = [seed_of(inferer.seed, name) for name in batchdata["name"]]
                images = inferer.generate(mask, reference, engine.network, self.watch, seeds)  # (B, N, C, H, W)
            except ValueError as error:
                raise ValueError(f"{error}{files_of(batchdata[CommonKeys.LABEL])}") from error
        engine.state.output = {**batchdata, CommonKeys.PRED: images}
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output
