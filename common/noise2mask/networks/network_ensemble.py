"""Several trained networks in one network's place: the samples of an image are theirs in turn.

Networks that began from other weights err otherwise, which samples of one network can not show (deep ensembles:
Lakshminarayanan et al., NeurIPS 2017). A sample costs as many evaluations as before; each network encodes each view.

Legend: B images, M samples, C channels of the image, K classes, H W size, for whole volumes H W D.
"""

from collections.abc import Sequence
from math import lcm
from typing import cast

from torch import Tensor, nn

from ..diffusion.denoiser import Condition, Denoiser


class NetworkEnsemble(Denoiser):
    """What an `EnsembleInferer` samples of one network, it samples of these: of each view, sample by sample.

    With V views, sample n is of network (n // V) mod their number: all see each view equally often where the samples
    are a multiple of views times networks. A single evaluation is the first network's.

    Args:
        networks: at least 2 of the same number of dimensions, no ensembles, trained for the same target on the same
            mask scale and noise schedule: `join_weights` makes sure.

    Raises:
        ValueError: where there is one alone, one is an ensemble, or they differ in their dimensions.
    """

    def __init__(self, networks: Sequence[Denoiser]) -> None:
        super().__init__()
        if len(networks) < 2 or len({network.spatial_dims for network in networks}) > 1:
            found = [f"{type(network).__name__} of {network.spatial_dims} dimensions" for network in networks]
            raise ValueError(f"networks are {found}; expected at least 2 of the same number: correct them.")
        if any(len(network.members) > 1 for network in networks):
            raise ValueError("networks has an ensemble: give the networks that it is made of.")
        self.networks = nn.ModuleList(networks)
        self.stride = lcm(*(network.stride for network in networks))
        self.spatial_dims = networks[0].spatial_dims

    @property
    def members(self) -> list[Denoiser]:
        """The networks."""
        return cast(list[Denoiser], list(self.networks))

    @property
    def has_coarse(self) -> bool:
        """Whether each makes a first guess of its own."""
        return all(network.has_coarse for network in self.members)

    def encode(self, image: Tensor) -> Condition:
        """(B, C, H, W) -> the first network's."""
        return self.members[0].encode(image)

    def at(self, condition: Condition, timesteps: Tensor) -> Condition:
        """The first network's, timesteps (B,) or (1,)."""
        return self.members[0].at(condition, timesteps)

    def coarse(self, condition: Condition) -> Tensor:
        """The first network's (B, K, H, W) in [0, 1]."""
        return self.members[0].coarse(condition)

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """x (M, K, H, W), timesteps (B,) or (1,) -> the first network's prediction (M, K, H, W).

        Raises:
            ValueError: in train mode: its networks are trained one by one.
        """
        if self.training:
            raise ValueError("An ensemble of networks is not trained: train its networks, and join their weights.")
        return self.members[0].denoise(x, timesteps, condition)
