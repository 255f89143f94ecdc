"""Loss of two networks that train together, one of which conditions the other: their losses added.

PGDiffSeg's prior (supplement and equation 10) and MedSegDiff-V2's condition model (its loss of a step) train so.
"""

from collections.abc import Mapping

from torch import Tensor, nn


class JointLoss(nn.Module):
    """diffusion loss + loss of the network that conditions it; where a gradient must stop, the network stops it.

    Args:
        diffusion: such as `DiffusionLoss`.
        condition: such as `PriorLoss` or `AnchorLoss`.
    """

    def __init__(self, diffusion: nn.Module, condition: nn.Module) -> None:
        super().__init__()
        self.diffusion, self.condition = diffusion, condition

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Output and target of a training step, whole -> scalar."""
        return self.diffusion(output, target) + self.condition(output, target)
