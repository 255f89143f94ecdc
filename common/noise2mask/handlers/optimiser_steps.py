"""Which iterations of a trainer end with an optimiser step, by MONAI's rule for its `accumulation_steps`.

MONAI's `SupervisedTrainer` adds up the gradients of so many batches before each step, and takes one more at the end of
an epoch where some are left. Whoever counts steps (moving average, learning rate) or waits for them (clipping) asks
here, so that 4 batches of 8 are one of 32. The fewer batches that are left at the end of an epoch are not one of their
images: MONAI divides their losses by 4 all the same (1.6.1), so that their gradients are smaller.
"""

from ignite.engine import Engine


def is_step(engine: Engine) -> bool:
    """Whether this iteration ends with an optimiser step."""
    every, length, done = engine.accumulation_steps, engine.state.epoch_length, engine.state.iteration
    if length is not None:
        done = (done - 1) % length + 1  # within the epoch
    return done % every == 0 or done == length


def step_number(engine: Engine) -> int:
    """The step that this iteration belongs to, counted from 1."""
    every, length, done = engine.accumulation_steps, engine.state.epoch_length, engine.state.iteration
    if length is None:
        return -(-done // every)
    epochs, within = divmod(done - 1, length)
    return epochs * -(-length // every) + within // every + 1


def steps_in_all(engine: Engine) -> int:
    """Optimiser steps of the whole run, whose epochs have a known length."""
    return engine.state.max_epochs * -(-engine.state.epoch_length // engine.accumulation_steps)
