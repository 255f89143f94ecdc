"""Loss of PGDiffSeg where both networks train together: their losses added (PGDiffSeg, supplement and equation 10)."""

from collections.abc import Mapping

from torch import Tensor, nn


class JointLoss(nn.Module):
    """diffusion loss + prior loss; the network itself stops the diffusion loss at the prior's features.

    Args:
        diffusion: such as `DiffusionLoss`.
        prior:     such as `PriorLoss`.
    """

    def __init__(self, diffusion: nn.Module, prior: nn.Module) -> None:
        super().__init__()
        self.diffusion, self.prior = diffusion, prior

    def forward(self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Output and target of a training step, whole -> scalar."""
        return self.diffusion(output, target) + self.prior(output, target)
