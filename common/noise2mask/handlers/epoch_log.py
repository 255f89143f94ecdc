"""One line per epoch: phase, epoch, mean loss of the first process, the last validation's metrics, seconds."""

import logging
import time

from ignite import distributed as idist
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from .gradients import NORMS

logger = logging.getLogger(__name__)


SECONDS = "_seconds"  # after the phase's name: how long an epoch took, its validation included
PRIOR_SECONDS = f"prior{SECONDS}"  # of PGDiffSeg's first phase, which is not validated


class EpochLog:
    """Logs a trainer's epochs; mean loss and seconds also go into `engine.state.metrics`, for TensorBoard and MLflow.

    Of an iteration's output only the loss and the norms of `ClipGradients` are kept, in the decollated form that
    MONAI's handlers for TensorBoard and MLflow read; list them after this one.

    Args:
        phase:     what the line starts with.
        evaluator: whose metrics are added after its validation of the same epoch, or None.
    """

    def __init__(self, phase: str, evaluator: Engine | None = None) -> None:
        self.phase = phase
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        """Sum the loss over an epoch; log when it ends."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.log)

    def start(self, engine: Engine) -> None:
        """A new sum, a new clock."""
        self.total, self.count, self.started = 0.0, 0, time.perf_counter()

    def add(self, engine: Engine) -> None:
        """One iteration's loss; prediction and graph are let go."""
        loss = engine.state.output[CommonKeys.LOSS].detach()
        self.total += loss.item()
        self.count += 1
        norms = engine.state.output.get(NORMS, {})
        engine.state.output = [{CommonKeys.LOSS: loss, NORMS: norms}]  # type: ignore[assignment]

    def log(self, engine: Engine) -> None:
        """The line, on the first rank."""
        loss = self.total / max(1, self.count)
        seconds = time.perf_counter() - self.started
        engine.state.metrics |= {f"{self.phase}_loss": loss, f"{self.phase}{SECONDS}": seconds}
        words = [f"{self.phase} epoch {engine.state.epoch}/{engine.state.max_epochs}", f"loss {loss:.4f}"]
        if self.evaluator is not None and self.evaluator.state.epoch == engine.state.epoch:
            words += [f"{name} {value:.4f}" for name, value in self.evaluator.state.metrics.items()]
        if idist.get_rank() == 0:
            logger.info("  ".join([*words, f"{seconds:.1f} s"]))
