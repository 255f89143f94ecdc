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


def target_explained(prediction: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Part of the target's power that an image's prediction explains: 1 - squared error / power, (B,), at most 1.

    Args:
        prediction: (B, C, H, W), or (B, 2C, H, W) with a learned variance; of the noise, the image or v.
        target:     of `PrepareGeneration`.
    """
    true = target["prediction"]  # (B, C, H, W)
    error = (prediction[:, : true.shape[1]].float() - true).square().flatten(1).mean(dim=1)  # (B,)
    return 1 - error / true.square().flatten(1).mean(dim=1)  # (B,)
