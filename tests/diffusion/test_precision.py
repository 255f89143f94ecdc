"""Training steps in fewer bits."""

import pytest
import torch
from torch import nn

from noise2mask.diffusion.precision import PrecisionInferer
from noise2mask.losses.diffusion_loss import DiffusionLoss
from noise2mask.networks.medsegdiff import MedSegDiff


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_forward_pass_alone_is_in_few_bits(precision, dtype):
    network = nn.Linear(2, 3)
    output = PrecisionInferer(precision)(torch.ones(1, 2), network)
    output.float().sum().backward()
    assert output.dtype == dtype and network.weight.grad.dtype == network.weight.dtype == torch.float32


def test_gradients_in_few_bits_point_where_those_in_float32_do():
    torch.manual_seed(0)
    network = MedSegDiff(base=8, blocks=(1, 1, 1, 1), decoder_blocks=1, downsamplings=4, num_groups=8, grid=32)
    nn.init.normal_(network.decoder.output[-1].weight, std=0.2)  # it begins at zero
    x, image, mask = torch.randn(2, 1, 32, 32), torch.randn(2, 1, 32, 32), (torch.rand(2, 1, 32, 32) > 0.5).float()
    target = {"prediction": 0.6 * mask - 0.3, "mask": mask, "noisy": x, "alpha": torch.tensor(0.5), "sigma": 0.5}
    found = []
    for precision in ("float32", "bfloat16"):
        network.zero_grad()
        output = PrecisionInferer(precision)(x, network, timesteps=torch.tensor([9, 700]), context=image)
        DiffusionLoss(dice_weight=1.0)(output, target).backward()
        found.append(torch.cat([w.grad.flatten() for w in network.parameters() if w.grad is not None]))
    assert torch.cosine_similarity(*found, dim=0) > 0.98


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is 'half', expected one of float32, bfloat16"):
        PrecisionInferer("half")
