"""The prior branch's figure: its classifier's Grad-CAM is that of the classifier alone."""

import pytest
import torch

from noise2mask.explain.prior_map import PriorFigures, prior_map
from noise2mask.networks.baseline import Baseline

from . import toy


def test_the_map_is_the_weighted_sum_that_a_linear_classifier_says():
    net = toy.network()
    image = torch.randn(2, 1, 16, 16).clamp(-1, 1)
    heat, logits, location = prior_map(net, image)
    with torch.no_grad():
        features = net.prior.features(image)[-1]  # (2, C, 4, 4); d logit / d feature = weight / 16 everywhere
        expected = (features * net.prior.classifier.weight[0, :, None, None]).sum(1).relu()
    largest = expected.amax((1, 2), keepdim=True)
    assert torch.allclose(heat, expected / largest.where(largest > 0, torch.ones(())), atol=1e-5)
    assert logits.shape == (2, 1) and location.shape == (2, 1, 16, 16)


def test_a_row_per_case_with_the_probability_of_a_lesion_and_of_each_class(tmp_path):
    rows = PriorFigures(toy.subject(tmp_path, toy.network(), toy.dataset())).run()
    assert [row["case"] for row in rows] == ["case_0", "case_1"] and (tmp_path / "prior.png").is_file()
    assert all(0 <= row["probability_of_lesion"] <= 1 for row in rows)
    net = toy.network(prior_classes=3)
    row = PriorFigures(toy.subject(tmp_path, net, toy.dataset(1))).run()[0]
    assert sum(row[f"probability_{k}"] for k in range(3)) == pytest.approx(1)


def test_a_network_that_has_nothing_of_it_is_left_out(tmp_path):
    assert PriorFigures(toy.subject(tmp_path, Baseline(torch.nn.Identity()), toy.dataset())).run() == []
    assert list(tmp_path.iterdir()) == []
