"""Diffusion features of images with fixed noise, kept on disk: computed once, however many segmenters read them.

One file for each noised image. Its name follows from all that decides what it holds, so that features of other weights,
noise, timesteps or images are never read in its place.

Legend: M noised images, c_i channels and s_i size of entry i.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..digest import digest
from ..files import check_writable, load_plain, save_atomically
from ..networks.dsdm import DSDM

Features = dict[int, Tensor]  # number of a decoder entry -> (M, c_i, *s_i)


class StoredFeatures:
    """Features in a folder.

    Args:
        folder: where they are kept; it is made.
        dsdm:   whose features they are, in eval mode, with the arguments that made it as `shape`.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(self, folder: str | Path, dsdm: DSDM) -> None:
        check_writable(folder)
        # Groups and heads leave no trace in the weights
        self.folder, self.network = Path(folder), f"{digest(dsdm.state_dict())} {sorted(dsdm.shape.items())}"

    def get(
        self, inputs: Mapping[str, Tensor], timestep: int, entries: Sequence[int], compute: Callable[[], Features]
    ) -> Features:
        """Read them, or compute and keep them where one of them is not there.

        Args:
            inputs:   by name (M, ...), all that the network is given of each noised image.
            timestep: of the noise.
            entries:  i of the decoder.
            compute:  what makes them.

        Returns:
            {i: (M, c_i, *s_i)}, equal to what was computed to the last bit.

        Raises:
            ValueError: where a file is damaged; it names it.
        """
        basis = f"{self.network} {timestep} {sorted(entries)} "
        count = len(next(iter(inputs.values())))
        each = [digest({name: values[m] for name, values in inputs.items()}) for m in range(count)]
        paths = [self.folder / f"{hashlib.sha256((basis + own).encode()).hexdigest()}.pt" for own in each]
        if not all(path.is_file() for path in paths):
            return self._kept(compute(), paths)
        like = next(iter(inputs.values()))
        found = [load_plain(path) for path in paths]
        return {i: torch.stack([one[i] for one in found]).to(like.device) for i in sorted(entries)}

    def _kept(self, features: Features, paths: Sequence[Path]) -> Features:
        for m, path in enumerate(paths):
            # Calls that share a folder may compute the same features at once: each writes a file of its own.
            own_file = path.with_name(f"{path.name}.{os.getpid()}")
            save_atomically({i: own[m].cpu().clone() for i, own in features.items()}, own_file)
            os.replace(own_file, path)
        return features
