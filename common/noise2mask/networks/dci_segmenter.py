"""Segmentation with features of a diffusion model (DiffusionDCI, stage 2).

The U-Net of stage 1 once more, with plain norms, on the clean image. At some of its decoder's entries it attends to
what the frozen DSDM has at the same entry for the same image with noise on it.

    image ------------------> trunk: encoder -> middle -> entries ..., i, ... -> logits
    image + noise, image ---> DSDM:  encoder -> middle -> entries ..., i   (no further)

Legend: B images, N noises of each, M = B * N, C image channels, K classes, H W size, c_i channels of entry i and s_i
its size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..diffusion.denoiser import Condition, Denoiser, repeated
from ..layers.cross_attention_alignment import FeatureAlignment, FeatureSkip
from ..layers.unet_entry import ConditionedEntry
from ..names import check_name
from .conditioned_unet import ConditionedUNet, Encoded
from .dsdm_with_reference import DSDMWithReference
from .transfer import transfer
from .weights import load_weights

FUSIONS = ("caa", "skip", "none")
DSDM, SKIP = "dsdm.", "skip_"  # begin the names of what a condition holds


class DCISegmenter(Denoiser):
    """The trunk beside its DSDM, which is frozen. A `Denoiser` whose noise is on the image, not on the mask.

    Args:
        dsdm:         of stage 1.
        out_channels: K.
        entries:      i of the decoder, 0 the deepest, at which features are taken and given.
        fusion:       "caa", "skip" (features beside the trunk's own, through a 1x1 convolution) or "none": the rows of
            the paper's table 5.

    Raises:
        ValueError: where the fusion has another name, or the decoder has no such entry.
    """

    def __init__(
        self,
        dsdm: DSDMWithReference,
        out_channels: int,
        entries: Sequence[int] = (6, 7, 8, 9, 10),
        fusion: Literal["caa", "skip", "none"] = "caa",
    ) -> None:
        super().__init__()
        check_name("fusion", fusion, FUSIONS)
        count = len(dsdm.decoder)
        if wrong := set(entries) - set(range(count)):
            raise ValueError(f"Decoder entries are 0 to {count - 1}, found {sorted(wrong)}: change entries.")
        self.dsdm = dsdm.requires_grad_(False).eval()
        self.trunk = ConditionedUNet(out_channels, None, **dsdm.shape)
        self.entries = [] if fusion == "none" else sorted(set(entries))
        self.fusions = nn.ModuleDict()
        for i in self.entries:
            width = cast(ConditionedEntry, dsdm.decoder[i]).channels
            aligned = fusion == "caa"
            self.fusions[str(i)] = FeatureAlignment(width, dsdm.shape["num_groups"]) if aligned else FeatureSkip(width)

    def train(self, mode: bool = True) -> "DCISegmenter":
        """As of every module, but DSDM stays in eval mode."""
        super().train(mode)
        self.dsdm.eval()
        return self

    def encode(self, image: Tensor) -> Condition:
        """All that the image decides without noise: (B, C, H, W) in [-1, 1] -> the trunk's skips, what DSDM is given.

        Raises:
            ValueError: where the image has other channels or sides than the network takes.
        """
        encoded = self.trunk.encoded(image, image.new_zeros(1))  # without noise: timestep 0
        made = {f"{SKIP}{i}": skip for i, skip in enumerate(encoded.skips)}  # (B, c_k, *s_k)
        if self.entries:
            with torch.no_grad():
                made |= {DSDM + name: own for name, own in self.dsdm.encode(None, image).items()}
        return Condition(image, self.training, made | {"embedding": encoded.embedding})

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """One evaluation.

        Args:
            x:         (M, C, H, W), the images with noise on them, image-major.
            timesteps: (B,) or (1,), of the noise.
            condition: of `encode`; where it has `feature_i` (M, c_i, *s_i) of all entries, DSDM is not evaluated.

        Returns:
            Logits (M, K, H, W); in train mode a dict that holds them as `logits`.
        """
        condition.samples_of(x, self.training)
        features = self.features(x, timesteps, condition)  # {i: (M, c_i, *s_i)}
        skips = [condition[f"{SKIP}{i}"] for i in range(1 + len(self.trunk.encoder))]  # (B, c_k, *s_k) each

        def fused(number: int, h: Tensor) -> Tensor:
            if number not in features:
                return h  # (B, c_i, *s_i) up to the first of the entries, (M, c_i, *s_i) from there on
            return self.fusions[str(number)](repeated(h, len(x)), features[number])  # (M, c_i, *s_i)

        encoded = Encoded(skips, condition["embedding"])
        logits = self.trunk.decode(encoded, self.trunk.unconditioned(), fused)  # (M, K, H, W), without entries (B, ...)
        logits = repeated(logits, len(x))  # (M, K, H, W)
        return {"logits": logits} if self.training else logits

    @torch.no_grad()
    def features(self, x: Tensor, timesteps: Tensor, condition: Condition) -> dict[int, Tensor]:
        """DSDM's at the entries: those that the condition holds, or of x (M, C, H, W) -> {i: (M, c_i, *s_i)}."""
        kept = {i: condition[f"feature_{i}"] for i in self.entries if f"feature_{i}" in condition}
        if len(kept) == len(self.entries):
            return kept
        own = {name.removeprefix(DSDM): made for name, made in condition.items() if name.startswith(DSDM)}
        return self.dsdm.features(x, timesteps, Condition(condition.image, False, own), self.entries)


def take_generator(
    network: DCISegmenter, path: str | Path | None, initial_weights: str | Path | None, transferred: bool = True
) -> None:
    """Load DSDM's weights, before a training that keeps it as it is.

    Args:
        network:         to be trained.
        path:            the `model.pt` of stage 1, or its packaged bundle (.zip); None where `initial_weights`, which
            hold a DSDM, follow.
        initial_weights: of the whole network, loaded by others.
        transferred:     the trunk begins as DSDM without mask and reference; False leaves it as it was drawn.

    Raises:
        ValueError: as `load_weights`, or where neither is given: DSDM would stay as it was drawn.
    """
    if path is not None:
        load_weights(network.dsdm, path)
        if transferred:
            transfer(network.dsdm, network.trunk)
    elif initial_weights is None:
        raise ValueError("DSDM is not trained: name generator_file, a model.pt of diffusiondci_generation.")
