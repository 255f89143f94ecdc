"""What Grad-CAM explains: sums by hand."""

import pytest
import torch

from noise2mask.diffusion.feature_inferer import FeatureInferer
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.explain.score import check_score, score_of

X0 = torch.tensor([[[[0.3, -0.3], [0.1, -0.1]]], [[[-0.3, -0.3], [-0.3, -0.3]]]])  # (2, 1, 2, 2)


def inferer(**options):
    return EnsembleInferer(NoiseSchedule(), **options)


def test_the_foreground_s_sum_takes_what_is_above_zero_of_each_image():
    found = score_of("x0_foreground", inferer(), X0, torch.zeros_like(X0), 500)
    assert torch.allclose(found, torch.tensor([0.4, 0.0]))


@pytest.mark.parametrize("target", ["epsilon", "x0", "v"])
def test_the_noise_s_sum_is_that_of_the_noise_whatever_the_network_predicts(target):
    schedule, noise = NoiseSchedule(), torch.randn(2, 1, 2, 2)
    alpha, sigma = schedule.alpha_sigma(300)
    x = alpha * X0 + sigma * noise
    output = {"epsilon": noise, "x0": X0, "v": alpha * noise - sigma * X0}[target]
    found = score_of("eps_sum", inferer(target=target), output, x, 300)
    assert torch.allclose(found, noise.sum(dim=(1, 2, 3)), atol=1e-4)


def test_of_exclusive_classes_the_background_is_no_foreground():
    output = torch.tensor([[[[-0.3, 0.3]], [[0.3, -0.3]]]])  # the first pixel is no background
    found = score_of("x0_foreground", inferer(out_channels=2, exclusive=True), output, output, 0)
    assert torch.allclose(found, torch.tensor([0.3]))


def test_logits_add_up_the_largest_of_each_pixel_and_other_names_are_refused():
    features = FeatureInferer(NoiseSchedule(), out_channels=2)
    for name, own in (("logit_sum", inferer()), ("x0_foreground", features)):
        with pytest.raises(ValueError, match=f"score is {name}, but this network answers with"):
            check_score(name, own)
    logits = torch.tensor([[[[1.0, 5.0]], [[2.0, 3.0]]]])
    assert score_of("logit_sum", inferer(), logits, logits, 0).tolist() == [7]
    with pytest.raises(ValueError, match="eps_sum, x0_foreground, logit_sum"):
        score_of("loss", inferer(), logits, logits, 0)
