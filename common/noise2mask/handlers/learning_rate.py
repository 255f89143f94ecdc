"""The learning rate of an iteration, as a function of that iteration alone: a resumed run needs no state for it."""

import math

from ignite.engine import Engine, Events
from torch.optim import Optimizer


class CosineDecay:
    """Linear rise over the first iterations, then half a cosine down to 0 at the end of the run.

    Args:
        optimizer: whose learning rates, as they are now, are the highest.
        warmup:    iterations of the rise, at least 1.
    """

    def __init__(self, optimizer: Optimizer, warmup: int = 50) -> None:
        self.optimizer = optimizer
        self.warmup = warmup
        self.highest = [group["lr"] for group in optimizer.param_groups]

    def attach(self, engine: Engine) -> None:
        """Set the rates before every iteration."""
        engine.add_event_handler(Events.ITERATION_STARTED, self.set)

    def set(self, engine: Engine) -> None:
        """Iterations are counted from 1."""
        done = engine.state.iteration - 1
        total = engine.state.max_epochs * engine.state.epoch_length
        factor = min(1.0, (done + 1) / self.warmup) * 0.5 * (1 + math.cos(math.pi * done / total))
        for group, highest in zip(self.optimizer.param_groups, self.highest, strict=True):
            group["lr"] = highest * factor
