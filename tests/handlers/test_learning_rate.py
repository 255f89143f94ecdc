"""The learning rate rises, then falls as half a cosine, and follows from the iteration alone."""

import math

import pytest
import torch
from ignite.engine import Engine

from noise2mask.handlers.learning_rate import CosineDecay


def rates(epochs=4, length=10, warmup=5, start=(0, 0), decay=True):
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.3}], lr=0.1)
    handler, found = CosineDecay(optimizer, warmup, decay), []
    for group in optimizer.param_groups:
        group["lr"] = 123.0  # what a resumed optimiser brings along
    engine = Engine(lambda engine, batch: found.append([group["lr"] for group in optimizer.param_groups]))
    engine.accumulation_steps = 1  # as a trainer has it
    engine.state.epoch, engine.state.iteration = start
    handler.attach(engine)
    engine.load_state_dict({"epoch": start[0], "max_epochs": epochs, "epoch_length": length}) if start[0] else None
    engine.run(range(length), max_epochs=epochs)
    return found


def test_it_rises_then_falls_to_zero():
    first = [rate for rate, _ in rates()]
    assert first[:5] == pytest.approx([0.1 * k / 5 * 0.5 * (1 + math.cos(math.pi * (k - 1) / 40)) for k in range(1, 6)])
    assert first[20] == pytest.approx(0.05) and first[5:] == sorted(first[5:], reverse=True)
    assert 0 < first[-1] < 0.1 * 0.002


def test_groups_keep_their_ratio():
    assert all(second == pytest.approx(3 * first) for first, second in rates())


def test_a_resumed_run_goes_on_with_the_same_rates():
    assert rates(start=(2, 20)) == rates()[20:]


def test_without_decay_it_stays_where_it_has_risen_to():
    assert [rate for rate, _ in rates(decay=False)] == pytest.approx([0.02, 0.04, 0.06, 0.08, *[0.1] * 36])
