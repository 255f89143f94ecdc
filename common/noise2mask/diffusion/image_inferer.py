"""From mask and reference to images: samples of DSDM, guided or not.

Samplers, noise and chunks are those of `EnsembleInferer`; what is sampled is an image, and samples are not fused.

Legend: B masks, N images of each, C image channels, K classes, H W size, h w that of references.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..meta import without_meta
from ..names import check_name
from ..seeding import derived_seed
from .inferer import EnsembleInferer, Intermediate, evaluated
from .noise_schedule import NoiseSchedule

CONDITIONS = {"both": (True, True), "mask": (True, False), "reference": (False, True), "none": (False, False)}

OF_MASKS = ("fusion", "exclusive", "temperature", "flips", "zooms")  # options of `EnsembleInferer` without effect here


def seed_of(seed: int, name: str) -> int:
    """The seed of a mask's images: it follows from the run's seed and the mask's name, not from the other masks."""
    return derived_seed(seed, *name.encode())


class ImageInferer(EnsembleInferer):
    """Samples images.

    Args:
        noise_schedule: of training.
        conditions:     what the network is given: "both", "mask", "reference" or "none" (the rows of table 1).
        options:        of `EnsembleInferer`: `target`, `out_channels` (C), `sampler`, `steps` (1 up), `spacing`,
            `samples` (N), `seed`, `variance`, `clip`, `chunk_size`, `progress`.

    Raises:
        ValueError: as there, where conditions have another name, or an option is for masks alone.
    """

    def __init__(self, noise_schedule: NoiseSchedule, conditions: str = "both", **options: Any) -> None:
        check_name("conditions", conditions, tuple(CONDITIONS))
        if idle := sorted(set(options) & set(OF_MASKS)):
            raise ValueError(f"{idle[0]} has no effect on images, which are not fused: leave it out.")
        if options.get("steps") == 0 or options.get("start") is not None:
            raise ValueError("There is no coarse image to begin with: sample from noise (start null, steps from 1 up).")
        super().__init__(noise_schedule, **{"target": "epsilon", "out_channels": 3, **options}, mask_scale=1.0)
        self.conditions = conditions

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the images."""
        left_out = ("mask_scale", "start", *OF_MASKS)
        own = {name: value for name, value in super().settings.items() if name not in left_out}
        return own | {"conditions": self.conditions}

    def changed(self, **options: Any) -> "ImageInferer":
        """As of `EnsembleInferer`, `conditions` with the others."""
        own = {name: value for name, value in self._arguments.items() if name not in ("mask_scale", *OF_MASKS)}
        return ImageInferer(**{**own, "conditions": self.conditions, **options})

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """The first image of each mask, (B, C, H, W): `inputs` are masks, `reference` is a keyword; as `generate`."""
        return self.generate(inputs, kwargs["reference"], network)[:, 0]

    @torch.no_grad()
    def generate(
        self,
        mask: Tensor,
        reference: Tensor,
        network: Callable[..., Any],
        callback: Callable[[Intermediate], None] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Tensor:
        """All images.

        Args:
            mask:      one-hot (B, K, H, W).
            reference: (B, C, h, w) in [-1, 1].
            network:   `DSDMWithReference`, or `Guided` around it; evaluated in eval mode, left in the mode it was in.
            callback:  is shown every intermediate state, in chunks.
            seeds:     of each mask, such as `seed_of` gives; None: the inferer's own for all, whose images then share
                their noise, and look alike where it shines through.

        Returns:
            (B, N, C, H, W) in [0, 1]; image n of a mask takes its noise from its seed + n.

        Raises:
            ValueError: where mask or reference do not fit the network or each other, or a sample is not finite.
        """
        if len(mask) != len(reference):  # slices of chunks would hide it
            raise ValueError(f"Found {len(reference)} references for {len(mask)} masks, expected one for each.")
        given = zip(CONDITIONS[self.conditions], (without_meta(mask), without_meta(reference)), strict=True)
        own, style = (tensor if kept else torch.zeros_like(tensor) for kept, tensor in given)
        with evaluated(network) as denoiser:
            return self._sample_items(own, denoiser, None, callback, [style], seeds)  # (B, N, C, H, W)
