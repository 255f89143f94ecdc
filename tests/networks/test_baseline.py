"""A plain network in a denoiser's place gives its own mask, whatever the noise."""

import pytest
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from torch import nn

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.losses.baseline_loss import BaselineLoss
from noise2mask.networks.baseline import Baseline


@pytest.fixture
def baseline():
    torch.manual_seed(0)
    return Baseline(nn.Conv2d(1, 1, 3, padding=1)).eval()


IMAGE = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("sampler", "steps", "samples"), [("ddim", 1, 1), ("ddim", 3, 2), ("unipc", 2, 1)])
def test_inference_gives_the_network_s_probability_however_it_samples(baseline, sampler, steps, samples):
    inferer = EnsembleInferer(NoiseSchedule("linear", 50), sampler=sampler, steps=steps, samples=samples)
    assert torch.allclose(inferer(IMAGE, baseline), baseline.network(IMAGE).sigmoid(), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 20, 9), (1, 1, 16, 32), (1, 1, 20, 9, 3)])
def test_images_of_any_size_go_through_a_network_that_halves_four_times(shape):
    dims = len(shape) - 2
    torch.manual_seed(0)
    network = BasicUNet(dims, 1, 2, [4, 4, 4, 4, 4, 4]).eval()
    image = torch.randn(shape)
    found = Baseline(network, stride=16).encode(image)["logits"]
    assert found.shape == (shape[0], 2, *shape[2:])
    ends = [pair for size in reversed(shape[2:]) for pair in (0, -size % 16)]
    whole = network(nn.functional.pad(image, ends, mode="replicate"))
    assert torch.equal(found, whole[(..., *(slice(size) for size in shape[2:]))])


def test_it_takes_volumes_where_it_is_told_so_or_the_network_says_so():
    assert Baseline(nn.Conv3d(1, 1, 3)).spatial_dims == 2
    assert Baseline(nn.Conv3d(1, 1, 3), spatial_dims=3).spatial_dims == 3
    network = nn.Conv3d(1, 1, 3)
    network.spatial_dims = 3
    assert Baseline(network).spatial_dims == 3


def test_its_coarse_mask_is_its_mask(baseline):
    assert torch.equal(baseline.coarse(baseline.encode(IMAGE)), baseline.network(IMAGE).sigmoid())


def test_training_reaches_the_network_by_dice_and_cross_entropy(baseline):
    output = baseline.train()(torch.randn(2, 1, 8, 8), torch.tensor([3, 40]), IMAGE)
    mask = (IMAGE > 0).float()
    loss = BaselineLoss()(output, {"mask": mask})
    assert torch.equal(loss, DiceCELoss(sigmoid=True, batch=True)(output["logits"], mask))
    loss.backward()
    assert baseline.network.weight.grad.abs().sum() > 0
