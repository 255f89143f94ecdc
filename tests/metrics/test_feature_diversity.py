"""Diversity of a mask's samples: hand values, all pairs, and scale plays no part."""

from itertools import combinations

import pytest
import torch

from noise2mask.metrics.feature_diversity import feature_diversity


def test_equal_samples_have_none_and_opposite_ones_two():
    features = torch.tensor([[[1.0, 2], [2, 4]], [[1, 2], [-1, -2]], [[1, 0], [0, 3]]])
    assert torch.allclose(feature_diversity(features), torch.tensor([0.0, 2, 1], dtype=torch.float64), atol=1e-12)


def test_it_is_half_the_squared_distance_of_unit_vectors_over_all_pairs():
    features = torch.randn(2, 5, 7, dtype=torch.float64)
    unit = features / features.norm(dim=-1, keepdim=True)
    pairs = [(unit[:, i] - unit[:, j]).square().sum(dim=-1) / 2 for i, j in combinations(range(5), 2)]
    assert torch.allclose(feature_diversity(features), torch.stack(pairs).mean(dim=0))
    assert torch.allclose(feature_diversity(1000 * features), feature_diversity(features))


def test_each_mask_stands_alone():
    features = torch.randn(3, 4, 6)
    alone = torch.cat([feature_diversity(own[None]) for own in features])
    assert torch.equal(feature_diversity(features), alone)


@pytest.mark.parametrize("shape", [(3, 1, 6), (3, 6)])
def test_a_single_sample_has_no_diversity(shape):
    with pytest.raises(ValueError, match="N at least 2: make more samples of each mask"):
        feature_diversity(torch.ones(shape))
