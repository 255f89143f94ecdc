"""From stage 1 to stage 2 of DiffusionDCI: a U-Net with plain norms that computes what DSDM does without conditions.

Without a mask SPADE's scales and shifts are one number per channel, which a GroupNorm's weights hold.
"""

import torch
from torch import nn

from ..layers.spade import SpadeNorm
from .conditioned_unet import ConditionedUNet
from .dsdm import DSDM


@torch.no_grad()
def transfer(dsdm: DSDM, trunk: ConditionedUNet) -> None:
    """Give the trunk DSDM's weights but for the output.

    Args:
        dsdm:  of stage 1.
        trunk: of the same shape, with plain norms.
    """
    source = dict(dsdm.named_modules())
    for name, module in trunk.named_modules():
        if name.split(".")[0] == "output":
            continue
        twin = source[name]
        if isinstance(twin, SpadeNorm):
            _of_no_mask(twin, module)
        else:
            for key, weight in module.named_parameters(recurse=False):
                weight.copy_(twin.get_parameter(key))


def _of_no_mask(spade: SpadeNorm, norm: nn.Module) -> None:
    """GroupNorm(x) * (1 + gamma) + beta, gamma and beta (C,) of a mask of zeros."""
    zeros = torch.zeros(1, spade.hidden.in_channels, 1, 1, device=spade.hidden.weight.device)
    gamma, beta = spade.modulation(zeros).flatten().chunk(2)  # (C,) twice
    norm.get_parameter("weight").copy_(1 + gamma)
    norm.get_parameter("bias").copy_(beta)
