"""The way of an image's first sample from noise to mask, at some of a sampler's steps.

Legend: B images, N samples, K classes, H W D size, T steps kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .inferer import Intermediate
from .noise_schedule import NoiseSchedule

DEVIATIONS = 2.0  # of noise and mask together, which a noisy mask is shown within


class Trace:
    """A callback of `EnsembleInferer.sample`.

    Args:
        steps:      numbers of the steps to keep.
        schedule:   of the noise.
        mask_scale: clean masks live on +-mask_scale.
        exclusive:  classes exclude one another, channel 0 is the background.
    """

    def __init__(self, steps: Sequence[int], schedule: NoiseSchedule, mask_scale: float, exclusive: bool) -> None:
        self.steps, self.schedule, self.mask_scale, self.exclusive = set(steps), schedule, mask_scale, exclusive
        self.begin()

    def begin(self, depth: int | None = None, slices: Sequence[int] | None = None) -> None:
        """Forget what was kept, before a batch of pictures, or of volumes of `depth`, of which `slices` are kept."""
        self.depth, self.slices = depth, None if slices is None else list(slices)
        self.timesteps = dict[int, int]()  # by step
        self._kept = dict[int, list[tuple[Tensor, Tensor]]]()

    def __call__(self, state: Intermediate) -> None:
        """Keep the first sample's x and x0 (b * n, K, H, W[, D]), where this is one of the steps."""
        if state.step not in self.steps or state.samples.start > 0:
            return
        firsts = (own.detach().unflatten(0, (len(state.images), -1))[:, 0] for own in (state.x, state.x0))
        x, x0 = (self._cut(own, state.images) for own in firsts)  # (b, K, ...) each
        alpha, sigma = self.schedule.alpha_sigma(state.timestep)
        reach = DEVIATIONS * ((alpha * self.mask_scale) ** 2 + sigma**2) ** 0.5
        self.timesteps[state.step] = state.timestep
        shown = grey(foreground(x / reach, self.exclusive)), grey(foreground(x0 / self.mask_scale, self.exclusive))
        self._kept.setdefault(state.step, []).append(shown)  # (b, H, W[, D]) each

    def _cut(self, states: Tensor, images: range) -> Tensor:
        """Of states (b, K, H, W[, D]) of some images, or slices, those that are kept."""
        if self.slices is None or self.depth is None:
            return states
        if states.ndim == 5:
            return states[..., self.slices]
        return states[[i for i, number in enumerate(images) if number % self.depth in self.slices]]

    def of_images(self, count: int) -> tuple[Tensor, Tensor, list[int]]:
        """What was kept of a batch of `count` images.

        Returns:
            Noisy and clean masks (B, T, H, W[, D]) uint8, where -1 became 0 and 1 became 255; slices that the network
            took one by one are volumes again. And the timesteps (T).
        """
        steps = sorted(self._kept)
        if not steps:
            return torch.empty(count, 0, dtype=torch.uint8), torch.empty(count, 0, dtype=torch.uint8), []
        noisy, clean = (
            torch.stack([torch.cat([chunk[which] for chunk in self._kept[step]]) for step in steps], dim=1)
            for which in (0, 1)
        )  # (b, T, H, W[, D]) each
        return _images(noisy, count), _images(clean, count), [self.timesteps[step] for step in steps]


def foreground(values: Tensor, exclusive: bool) -> Tensor:
    """What says that a pixel is of any class: (b, K, ...) in [-1, 1], of exclusive classes -1 for the background's."""
    return -values[:, 0] if exclusive and values.shape[1] > 1 else values.amax(dim=1)  # (b, ...)


def grey(values: Tensor) -> Tensor:
    """(...) in [-1, 1], what lies outside clipped -> (...) uint8 on the CPU."""
    return ((values.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


def _images(kept: Tensor, count: int) -> Tensor:
    """(b, T, H, W[, D]) -> (B, T, H, W[, D])."""
    return kept if len(kept) == count else kept.unflatten(0, (count, -1)).movedim(1, -1)
