"""From image to mask by diffusion features: one pass per noise, fused to class probabilities.

The features are those of the image with noise on it; another noise gives other features. So the masks of several noises
say how sure the segmenter is, as samples of a diffusion model do, at one evaluation each.

Legend: B images, b of a chunk, N noises, n of a chunk, C image channels, K classes, H W size.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..networks.dci_segmenter import DCISegmenter
from .denoiser import Condition, Denoiser, repeated, unwrap
from .inferer import EnsembleInferer, check_finite
from .noise import NoiseSource
from .noise_schedule import NoiseSchedule
from .prepare_features import check_timestep
from .stored_features import StoredFeatures

MEANT_FOR_SAMPLING = ("target", "sampler", "steps", "spacing", "variance", "clip", "start", "mask_scale")


class FeatureInferer(EnsembleInferer):
    """`EnsembleInferer` of a `DCISegmenter`.

    Args:
        noise_schedule: of the diffusion model's training.
        timestep:       at which features are taken.
        out_channels:   K.
        samples:        N.
        flips, zooms:   of views, which the noises take in turn, as of `EnsembleInferer`.
        seed:           noise n of every image is seeded with seed + n.
        fusion:         "mean", "majority" or "staple".
        temperature:    of the fused probabilities, as of `EnsembleInferer`.
        chunk_size:     images * noises evaluated at once, which bounds the memory.
        progress:       show a progress bar over evaluations.
        features_dir:   folder in which DSDM's features are kept for other calls and other segmenters of the same DSDM
            (`StoredFeatures`); None keeps none.

    Raises:
        ValueError: where a name or a number is out of range.
    """

    def __init__(
        self,
        noise_schedule: NoiseSchedule,
        timestep: int = 200,
        out_channels: int = 3,
        samples: int = 1,
        flips: Sequence[Sequence[int]] = ((),),
        zooms: Sequence[float] = (1.0,),
        seed: int = 0,
        fusion: str = "mean",
        temperature: float = 1.0,
        chunk_size: int = 64,
        progress: bool = False,
        features_dir: str | Path | None = None,
    ) -> None:
        own: dict[str, Any] = {
            "noise_schedule": noise_schedule,
            "out_channels": out_channels,
            "samples": samples,
            "flips": flips,
            "zooms": zooms,
            "seed": seed,
        }
        own |= {"fusion": fusion, "temperature": temperature, "chunk_size": chunk_size, "progress": progress}
        super().__init__(**own, exclusive=True, steps=1, mask_scale=1.0)
        check_timestep(timestep, noise_schedule)
        self.timestep, self.timesteps = timestep, [timestep]
        self._own = {**own, "timestep": timestep, "features_dir": features_dir}
        self.features_dir = features_dir
        self._stored: dict[Denoiser, StoredFeatures] = {}  # of each network of an ensemble

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the masks."""
        kept = {name: value for name, value in super().settings.items() if name not in MEANT_FOR_SAMPLING}
        return kept | {"timestep": self.timestep}

    def changed(self, **options: Any) -> "FeatureInferer":
        """As of `EnsembleInferer`."""
        return FeatureInferer(**{**self._own, **options})

    @torch.no_grad()
    def states(self, image: Tensor, network: Callable[..., Any], most: int) -> list[tuple[int, Tensor]]:
        """The image (B, C, H, W) with its first noise on it, and the noise's timestep: all that there is."""
        noise = NoiseSource(self.seed, range(1), len(image), image.shape[1:], image.device, image.dtype)()
        return [(self.timestep, self.noise_schedule.noised(image, noise, self.timestep))]

    def _run(
        self,
        network: Denoiser,
        condition: Condition,
        numbers: range,
        coarse: Tensor | None,
        seed: int | Sequence[int],
        show: Callable[..., None],
        bar: tqdm,
    ) -> Tensor:
        """One chunk: the noises `numbers` of the encoded images -> 2 p - 1, (b * n, K, H, W)."""
        image = condition.image
        noise = NoiseSource(seed, numbers, len(image), image.shape[1:], image.device, image.dtype)()  # (b * n, C, H, W)
        images = repeated(image, len(noise))  # (b * n, C, H, W)
        x = self.noise_schedule.noised(images, noise, self.timestep)  # (b * n, C, H, W)
        timesteps = torch.tensor([self.timestep], device=x.device)  # (1,)
        condition = self._with_features(cast(DCISegmenter, unwrap(network)), x, timesteps, condition)
        logits = cast(Tensor, network.denoise(x, timesteps, condition)).float()  # (b * n, K, H, W)
        check_finite(logits, len(image), self.timestep)
        if logits.shape[1] != self.out_channels:
            raise ValueError(f"The network has {logits.shape[1]} classes, expected {self.out_channels}.")
        bar.update()
        soft = logits.softmax(dim=1)  # (b * n, K, H, W)
        return 2 * soft - 1

    def _with_features(self, network: DCISegmenter, x: Tensor, timesteps: Tensor, condition: Condition) -> Condition:
        """The condition with the features of x (M, C, H, W), where they are kept."""
        if self.features_dir is None or not network.entries:
            return condition
        if network not in self._stored:
            self._stored[network] = StoredFeatures(self.features_dir, network.dsdm)
        given = {"x": x, "image": repeated(condition.image, len(x))}
        compute = partial(network.features, x, timesteps, condition)
        features = self._stored[network].get(given, self.timestep, network.entries, compute)  # {i: (M, c_i, *s_i)}
        return condition.extended({f"feature_{i}": own for i, own in features.items()})
