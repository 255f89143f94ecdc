"""What figures look into: a network with its sampler, and the cases that are shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from monai.data import Dataset
from torch import Tensor, nn

from ..diffusion.denoiser import Denoiser, unwrap
from ..diffusion.inferer import EnsembleInferer
from ..files import check_writable
from ..spread import check_most
from .case_file import MOST_STEPS
from .seen import Seen, seen_cases


class Subject:
    """Shared by all figures of a network.

    Args:
        dataset:    items with `image` (preprocessed) and, where there is one, `label` (own size).
        network:    a `Denoiser` with its weights; of an ensemble its first network is looked into.
        inferer:    whose sampler, timesteps and noise are taken.
        output_dir: where pictures and tables go.
        most_steps: timesteps shown, evenly spread over those of the sampler.
        device:     of the network.

    Raises:
        ValueError: where `most_steps` is below 1, or the folder can not be written to.
    """

    def __init__(
        self,
        dataset: Dataset,
        network: nn.Module,
        inferer: EnsembleInferer,
        output_dir: str,
        most_steps: int = MOST_STEPS,
        device: torch.device | str = "cpu",
    ) -> None:
        check_most(most_steps)
        check_writable(output_dir)
        self.dataset, self.network, self.inferer = dataset, cast(Denoiser, unwrap(network)).members[0], inferer
        self.folder, self.most_steps, self.device = Path(output_dir), most_steps, torch.device(device)

    def cases(self) -> Iterator[Seen]:
        """One after another."""
        return seen_cases(self.dataset, self.network, self.inferer, self.device)

    def states(self, image: Tensor) -> list[tuple[int, Tensor]]:
        """Of an image (1, C, H, W[, D]) the timesteps that are shown, and what the network is given there."""
        return self.inferer.states(image, self.network, self.most_steps)
