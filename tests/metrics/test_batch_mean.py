"""The mean over items, whatever the batches, and how much of the target is explained."""

import math

import pytest
import torch
from ignite.engine import Engine

from noise2mask.metrics.batch_mean import BatchMean, target_explained


def mean(batches):
    """What an evaluator finds for predictions and labels of these items."""
    engine = Engine(lambda _, values: {"pred": torch.tensor(values), "label": torch.ones(len(values))})
    BatchMean(lambda prediction, label: prediction * label).attach(engine, "found")
    return engine.run(batches).metrics["found"], engine


def test_uneven_batches_give_the_mean_over_items():
    found, engine = mean([[1.0, 2.0, 3.0], [10.0]])
    assert found == pytest.approx(4.0)
    assert engine.run([[2.0], [4.0, 6.0]]).metrics["found"] == pytest.approx(4.0)  # a second run begins anew
    assert engine.run([[7.0]]).metrics["found"] == pytest.approx(7.0)


def test_of_nothing_there_is_no_mean():
    assert math.isnan(BatchMean(lambda prediction, label: prediction).compute())


def test_the_target_explained_is_one_for_the_target_itself_and_zero_for_no_prediction_at_any_power():
    true = torch.full((3, 2, 4, 4), 3.0)
    prediction = torch.stack([true[0], 0 * true[1], true[2] / 2])
    assert target_explained(prediction, {"prediction": true}).tolist() == [1, 0, 0.75]
    with_variance = torch.cat([prediction, torch.full((3, 2, 4, 4), 9.0)], dim=1)
    assert target_explained(with_variance, {"prediction": true}).tolist() == [1, 0, 0.75]
