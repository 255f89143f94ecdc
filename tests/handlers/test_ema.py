"""Moving average of weights, by hand."""

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from noise2mask.handlers.ema import EMA


def linear(value=1.0):
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    network[0].weight.data.fill_(value)
    return network


def run(ema, values, decay=None):
    """Each iteration leaves the network's weight at the next value."""

    def step(engine, value):
        ema.source[0].weight.data.fill_(value)
        ema.source[1].running_mean.fill_(10 * value)
        ema.source[1].num_batches_tracked += 1

    engine = Engine(step)
    engine.accumulation_steps = 1  # as a trainer has it
    ema.attach(engine)
    engine.run(values)
    return ema.network[0].weight.item()


def test_the_average_warms_up_and_follows():
    ema = EMA(linear(1.0), decay=0.3)
    first = 1 - 2 / 11  # the warm-up's decay in iteration 1 is (1 + 1) / (10 + 1)
    average = (1 - first) * 1.0 + first * 3.0
    second = 1 - 3 / 12
    average = (1 - second) * average + second * 5.0
    assert run(ema, [3.0, 5.0]) == pytest.approx(average)


def test_the_decay_is_at_most_what_was_asked_for():
    ema = EMA(linear(1.0), decay=0.1)
    assert run(ema, [3.0]) == pytest.approx(0.1 * 1 + 0.9 * 3)


def test_buffers_are_averaged_and_counters_copied():
    ema = EMA(linear(0.0), decay=0.1)
    run(ema, [3.0])
    assert ema.network[1].running_mean.item() == pytest.approx(0.9 * 30)
    assert ema.network[1].num_batches_tracked.item() == 1


def test_it_starts_from_the_network_as_it_is_when_the_run_starts():
    ema = EMA(linear(1.0), decay=0.1)
    ema.source[0].weight.data.fill_(7.0)  # such as weights loaded later
    assert run(ema, [7.0]) == 7.0


def test_the_average_is_a_network_of_its_own_in_eval_mode_without_gradients():
    ema = EMA(linear())
    assert not ema.network.training and ema.source.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
    run(ema, [2.0])
    shared = {value.data_ptr() for value in ema.source.state_dict().values()}
    assert not shared & {value.data_ptr() for value in ema.network.state_dict().values()}


def test_a_constant_network_keeps_its_bits():
    source = linear()
    source[0].weight.data.fill_(0.1)
    assert run(EMA(source), [0.1] * 20) == torch.tensor(0.1).item()


@pytest.mark.parametrize("decay", [0, 1, -0.5, 1.5])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match="between 0 and 1"):
        EMA(linear(), decay)
