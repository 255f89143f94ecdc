"""Noise that belongs to a sample, not to a batch.

Sample n of every image (and of every slice of a volume) takes its noise, the start x_T included, from its own generator
seeded with seed + n. So a result depends neither on the batch size, nor on the order of images, nor on how many samples
are computed at once; and slices that are stacked to a volume start from the same noise. Where images themselves are
made, each has a seed of its own, or they would share a texture.

Legend: B images, N samples, K channels, H W D.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class NoiseSource:
    """Draws standard normal noise for a batch of images times samples; each call goes on where the last one ended.

    Args:
        seed:    sample n is seeded with seed + n; one for all images, or one for each
        samples: numbers of the samples in this batch, such as range(8) or, for the second half, range(4, 8)
        images:  B, number of images in this batch, at least 1
        shape:   of one sample, (K, H, W[, D])
        device:  where the noise goes; it is drawn on the CPU, so that all devices see the same
        dtype:   of the noise; it is drawn in float32, so that all types see the same
    """

    def __init__(
        self,
        seed: int | Sequence[int],
        samples: range | Sequence[int],
        images: int,
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if len(samples) < 1 or images < 1:
            raise ValueError(f"found {len(samples)} samples of {images} images, expected at least one of each")
        seeds = [seed] if isinstance(seed, int) else list(seed)
        if len(seeds) not in (1, images):
            raise ValueError(f"found {len(seeds)} seeds of {images} images, expected one for all, or one for each")
        self.repeats = images // len(seeds)
        self.shape = tuple(shape)
        self.device = device
        self.dtype = dtype
        self._generators = [torch.Generator("cpu").manual_seed(own + n) for own in seeds for n in samples]

    def __call__(self) -> Tensor:
        """Noise (B * N, K, H, W[, D]), image-major: image b, sample n stands at b * N + n."""
        drawn = [torch.randn(self.shape, generator=g, dtype=torch.float32) for g in self._generators]
        noise = torch.stack(drawn).to(device=self.device, dtype=self.dtype)  # (N, K, H, W) or (B * N, K, H, W)
        return noise.repeat(self.repeats, *[1] * len(self.shape))  # (B * N, K, H, W)
