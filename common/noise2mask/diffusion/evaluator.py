"""A MONAI evaluator that samples once per image and derives every map from the same samples.

Legend: B batch, N samples, K classes, H W D size.
"""

from collections.abc import Callable, Mapping, Sized
from typing import Any, cast

import torch
from ignite.engine import Events
from monai.engines import IterationEvents, SupervisedEvaluator
from monai.utils import CommonKeys
from torch import Tensor

from ..meta import files_of
from .fusion import fuse
from .inferer import EnsembleInferer, Intermediate
from .uncertainty import entropy, standard_deviation, triage


class ResumableEvaluator(SupervisedEvaluator):
    """As MONAI's, but a run of nothing, which MONAI leaves out and ignite refuses, still starts and completes.

    Where an earlier call has finished all cases, the handlers of the end have their report to write. A handler may set
    `watch`, which is then shown every intermediate state of the sampler.
    """

    watch: Callable[[Intermediate], None] | None = None

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]  # as MONAI has it
        """As in MONAI; where there is nothing to infer, a run without iterations."""
        if len(cast(Sized, self.data_loader)):
            return super().run(global_epoch)
        self.fire_event(Events.STARTED)
        self.fire_event(Events.COMPLETED)


class UncertaintyEvaluator(ResumableEvaluator):
    """Its inferer is an `EnsembleInferer`; every map comes from the same samples.

    The output of an iteration holds, besides image and label,
    `pred` and `fused` (B, K, ...) class probabilities, of which postprocessing changes `pred`; `std` (that of the most
    unsure class) and `entropy` (B, 1, ...) per pixel; the soft `samples` (B, N * K, ...) themselves and, one number per
    image, `agreement`, `area_mean`, `area_std` and `triage` (B,), of each class `..._each` (B, classes); see
    `uncertainty.py`.
    Arguments are those of `monai.engines.SupervisedEvaluator`.
    """

    def _iteration(self, engine: SupervisedEvaluator, batchdata: Mapping[str, Any]) -> dict[str, Any]:
        """One batch; `label` may be missing.

        Raises:
            ValueError: where an image or a sample is not finite; it names the files of the batch.
        """
        image = batchdata[CommonKeys.IMAGE].to(engine.state.device)
        label = batchdata.get(CommonKeys.LABEL)
        engine.state.output = {CommonKeys.IMAGE: image}
        if label is not None:
            engine.state.output[CommonKeys.LABEL] = label.to(engine.state.device)
        with engine.mode(engine.network):
            maps = self._maps(image, engine)
        engine.state.output |= maps
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)  # MONAI decollates and postprocesses now
        return engine.state.output

    def _maps(self, image: Tensor, engine: SupervisedEvaluator) -> dict[str, Tensor]:
        """All that is derived from the samples of one batch."""
        inferer = cast(EnsembleInferer, engine.inferer)
        try:
            with torch.autocast(image.device.type, enabled=engine.amp and image.device.type == "cuda"):
                samples = inferer.sample(image, engine.network, callback=self.watch)  # (B, N, K, ...)
            probability = fuse(samples, inferer.fusion, inferer.exclusive)  # (B, K, ...)
        except ValueError as error:
            raise ValueError(f"{error}{files_of(image)}") from error
        std = standard_deviation(samples).amax(dim=1, keepdim=True)  # (B, 1, ...)
        maps = {CommonKeys.PRED: probability, "fused": probability, "std": std, "samples": samples.flatten(1, 2)}
        return maps | {"entropy": entropy(probability, inferer.exclusive)} | triage(samples, inferer.exclusive)
