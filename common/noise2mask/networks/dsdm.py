"""DSDM: the diffusion model that makes an image for a mask in the style of a reference (DiffusionDCI, stage 1).

One U-Net on the noisy image. Its encoder sees no condition; the middle and the decoder read the mask by SPADE and the
reference's embedding by CAA. Either condition may be missing: an empty mask, and a vector that is learned.

    x_t -> encoder -> middle -> decoder entries 0, 1, .. (deepest first) -> prediction and variance
                        ^          ^
                        mask (SPADE), reference (CAA)

Parameters, K = 3, tokens for 256 x 256: 209 million at base 128 and 77 million at base 64, of which CAA has 21 and 18.

Legend: B images, N samples of each, M = B * N, C image channels, K classes, H W size, n levels, w = base,
c_k = w * multipliers[k] channels of level k = 0 .. n-1, s_k = (H/2^k, W/2^k), E width of the time embedding, R width of
the reference's embedding, r = blocks.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..diffusion.denoiser import Condition, Denoiser
from .conditioned_unet import ConditionedUNet


class DSDM(ConditionedUNet, Denoiser):
    """The whole network.

    Args:
        classes:        K, of the mask.
        image_channels: C.
        cache_max_size: longest side in pixels up to which SPADE's modulations are kept for an image; larger ones, most
            of the memory, are made at every evaluation. None keeps all.
        options:        of `ConditionedUNet`.

    Raises:
        ValueError: as there.
    """

    def __init__(
        self, classes: int = 3, image_channels: int = 3, cache_max_size: int | None = None, **options: Any
    ) -> None:
        super().__init__(2 * image_channels, classes, image_channels, **options)
        self.classes, self.cache_max_size = classes, cache_max_size

    def encode(self, mask: Tensor | None = None, reference: Tensor | None = None) -> Condition:
        """All that mask and reference decide: SPADE's modulations, CAA's keys and values.

        Args:
            mask:      one-hot (B, K, H, W), sides multiples of 2^(n-1); all zero for an image without one; None for
                none at all, at any size.
            reference: embeddings (B, R); all zero for an image without one; None for none at all.

        Returns:
            Per entry of middle and decoder the modulations `block_0`, `block_1`, `last_0`, `last_1` (B, 2 c, *s_k), and
            at attention levels `key` and `value` (B, T, c); without a mask (1, 2 c, 1, 1), without a reference
            (1, T, c). `mask_k` (B, K, *s_k) of levels whose modulations are not kept.

        Raises:
            ValueError: where mask or reference do not fit the network or each other.
        """
        self._check(mask, reference)
        if reference is None:
            embedded = self.null_reference[None]  # (1, R)
        else:
            embedded = torch.where(reference.any(dim=1, keepdim=True), reference, self.null_reference)  # (B, R)
        if mask is None:
            one = embedded.new_zeros(1, self.classes, 1, 1)
            kept = masks = dict.fromkeys(range(self.levels), one)  # {k: (1, K, 1, 1)}: each place of an empty mask
        else:
            masks = {k: interpolate(mask, scale_factor=0.5**k, mode="nearest") for k in range(self.levels)}
            kept = {k: at for k, at in masks.items() if self._keeps(at)}
        made = {f"mask_{k}": at for k, at in masks.items() if k not in kept}
        for entry in (self.middle, *self.decoder):
            made.update(entry.made(kept, embedded))
        return Condition(embedded if mask is None else mask, self.training, made)

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x: (M, C, H, W), the noisy image, image-major, H and W multiples of 2^(n-1).
            timesteps: (B,) or (1,).
            condition: from `encode`.

        Returns:
            (M, 2C, H, W): the noise, or what else it was trained to predict, then the variance's place between its
            bounds; in train mode a dict that holds it as `prediction`.

        Raises:
            ValueError: where x does not fit the network or the condition.
        """
        condition.samples_of(x, self.training)
        prediction = self.decode(self.encoded(x, timesteps), condition)  # (M, 2C, H, W)
        return {"prediction": prediction} if self.training else prediction

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor | None = None, reference: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """x (M, C, H, W), timesteps, mask (B, K, H, W) and reference (B, R) or None -> as `denoise`."""
        return self.denoise(x, timesteps, self.encode(context, reference))

    def features(self, x: Tensor, timesteps: Tensor, condition: Condition, entries: Iterable[int]) -> dict[int, Tensor]:
        """Outputs of some decoder entries, 0 the deepest; nothing behind the last of them is computed.

        Raises:
            ValueError: as `denoise`, or where there is no such entry.
        """
        wanted = set(entries)
        if unknown := wanted - set(range(len(self.decoder))):
            raise ValueError(f"Decoder entries are 0 to {len(self.decoder) - 1}, found {sorted(unknown)}.")
        condition.samples_of(x, self.training)
        outputs = self.decoded(self.encoded(x, timesteps), condition, max(wanted, default=-1) + 1)
        return {i: h for i, h in enumerate(outputs) if i in wanted}  # {i: (M, c_k, *s_k)}

    def _keeps(self, mask: Tensor) -> bool:
        """Whether modulations of the size of this mask are kept; a checkpoint makes them anew with the features."""
        if self.checkpointing and self.training:
            return False
        return self.cache_max_size is None or max(mask.shape[2:]) <= self.cache_max_size

    def _check(self, mask: Tensor | None, reference: Tensor | None) -> None:
        if mask is not None:
            if mask.shape[1] != self.classes:
                expected = f"this network takes {self.classes}, one for each class: change classes, or the masks"
                raise ValueError(f"The mask has {mask.shape[1]} channels, {expected}.")
            self._check_size("mask", mask)
        if reference is None:
            return
        width = len(self.null_reference)
        if reference.ndim != 2 or reference.shape[1] != width:
            expected = f"expected (B, {width}): give what the reference encoder makes of it"
            raise ValueError(f"The reference has shape {tuple(reference.shape)}, {expected}.")
        if mask is not None and len(mask) != len(reference):
            raise ValueError(f"Found {len(reference)} references for {len(mask)} masks, expected one for each.")
