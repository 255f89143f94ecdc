"""The curves of a training, from what it has written for TensorBoard."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

EVENTS = "events.out.tfevents.*"
PER_ITERATION = "train_loss"  # the tag whose steps are iterations; those of all others are epochs
MOST_POINTS = 300  # of a curve: more are not seen


class Curve(NamedTuple):
    """A number over a training."""

    steps: list[float]
    values: list[float]
    axis: str  # what the steps are
    averaged: int  # how many values a point is the mean of


def read_curves(folder: Path) -> dict[str, Curve]:
    """By tag, as `read_scalars` reads them; those of many steps averaged."""
    return {tag: _curve(tag, steps) for tag, steps in sorted(read_scalars(folder).items())}


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """By tag and step. Of a step that was done twice, as after an interruption, the later value counts.

    Damaged files of events give no curve, or its beginning.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, dict[int, tuple[float, float]]] = {}  # tag -> step -> when and what
    for path in sorted(folder.glob(EVENTS)):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                steps = found.setdefault(tag, {})
                steps[event.step] = max(steps.get(event.step, (0.0, 0.0)), (event.wall_time, event.value))
    return {tag: {step: value for step, (_, value) in steps.items()} for tag, steps in found.items()}


def _curve(tag: str, events: dict[int, float]) -> Curve:
    steps = np.array(sorted(events), float)
    values = np.array([events[int(step)] for step in steps])
    axis = "iteration" if tag == PER_ITERATION else "epoch"
    averaged = -(-len(steps) // MOST_POINTS)  # rounded up
    edges = np.arange(0, len(steps), averaged)
    counts = np.diff([*edges, len(steps)])
    xs, ys = ((np.add.reduceat(array, edges) / counts).tolist() for array in (steps, values))
    return Curve(xs, ys, axis, averaged)
