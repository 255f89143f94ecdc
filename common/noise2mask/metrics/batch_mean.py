"""The mean of a number per item over an evaluator's run, on all ranks: what decides which weights are best.

Legend: B batch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import Tensor


class BatchMean(Metric):
    """Mean of `score(prediction, label)` (B,) over all items of a run.

    Args:
        score: of a batch, from what an evaluator's output holds as `pred` and `label`.
    """

    def __init__(self, score: Callable[[Tensor, Any], Tensor]) -> None:
        self.score = score
        super().__init__(output_transform=self._scores)

    def _scores(self, output: Mapping[str, Any]) -> Tensor:
        return self.score(output["pred"], output["label"])  # (B,)

    @reinit__is_reduced
    def reset(self) -> None:
        """Nothing seen."""
        self.total, self.count = 0.0, 0  # numbers: ignite reduces them on the device of the ranks

    @reinit__is_reduced
    def update(self, output: Tensor) -> None:
        """Scores of a batch, (B,)."""
        self.total += float(output.detach().sum())
        self.count += len(output)

    @sync_all_reduce("total", "count")
    def compute(self) -> float:
        """The mean; not a number where nothing was seen."""
        return self.total / self.count if self.count else float("nan")


def noise_explained(prediction: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Part of the noise's power that an image's prediction explains: 1 - mean squared error, (B,), at most 1.

    Args:
        prediction: (B, C, H, W), or (B, 2C, H, W) with a learned variance; of the noise.
        target:     of `PrepareGeneration`.
    """
    noise = target["prediction"]  # (B, C, H, W)
    return 1 - (prediction[:, : noise.shape[1]].float() - noise).square().flatten(1).mean(dim=1)  # (B,)
