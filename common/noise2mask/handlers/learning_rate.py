"""The learning rate of an optimiser step, as a function of its number alone: a resumed run needs no state for it."""

import math

from ignite.engine import Engine, Events
from torch.optim import Optimizer

from .optimiser_steps import step_number, steps_in_all


class CosineDecay:
    """Linear rise over the first optimiser steps, then half a cosine down to 0 at the end of the run.

    Args:
        optimizer: whose learning rates, as they are now, are the highest.
        warmup:    steps of the rise, at least 1.
        decay:     False: the rates stay where they have risen to.
    """

    def __init__(self, optimizer: Optimizer, warmup: int = 50, decay: bool = True) -> None:
        self.optimizer = optimizer
        self.warmup, self.decay = warmup, decay
        self.highest = [group["lr"] for group in optimizer.param_groups]

    def attach(self, engine: Engine) -> None:
        """Set the rates before every iteration."""
        engine.add_event_handler(Events.ITERATION_STARTED, self.set)

    def set(self, engine: Engine) -> None:
        """The rates of the step that this iteration belongs to."""
        done, total = step_number(engine) - 1, steps_in_all(engine)
        falling = 0.5 * (1 + math.cos(math.pi * done / total)) if self.decay else 1.0
        factor = min(1.0, (done + 1) / self.warmup) * falling
        for group, highest in zip(self.optimizer.param_groups, self.highest, strict=True):
            group["lr"] = highest * factor
