"""The contract of every network that denoises, and the condition it is given.

encode(*conditions)             -> Condition: all that depends on the condition alone; once per image
at(condition, timesteps)        -> Condition: plus what depends on image and timestep; once per step (optional)
denoise(x, timesteps, condition) -> prediction for N samples of each of the B images
forward(x, timesteps, context)  =  denoise(x, timesteps, encode(context))

Legend: B images, N samples of each, K classes, H W size, for whole volumes H W D; x is (B * N, K, H, W),
image-major.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Condition(dict[str, Tensor]):
    """A dict of batch-first tensors, with what it was made from.

    It refuses another size, another number of images and another mode; `check_image` refuses another image, and
    `check_timesteps` other timesteps.

    Args:
        image:     (B, C, H, W), what was encoded; (B, C) where it has no size, and fits every one.
        training:  whether the network was in train mode.
        tensors:   name -> (B, ...).
        timesteps: (B,) or (1,), which the tensors belong to; None where they belong to any.
    """

    def __init__(
        self, image: Tensor, training: bool, tensors: dict[str, Tensor], timesteps: Tensor | None = None
    ) -> None:
        super().__init__(tensors)
        self.image = image
        self.training = training
        self.timesteps = timesteps

    def extended(self, tensors: dict[str, Tensor], timesteps: Tensor | None = None) -> "Condition":
        """A new condition of the same image with more tensors, of these timesteps; this one stays as it is."""
        own = self.timesteps if timesteps is None else timesteps
        return Condition(self.image, self.training, {**self, **tensors}, own)

    def samples_of(self, x: Tensor, training: bool) -> int:
        """N, the number of samples that x (B * N, K, H, W) holds of each encoded image.

        Raises:
            ValueError: where x has another size, no multiple of the batch, or the network has changed its mode.
        """
        batch, size = len(self.image), self.image.shape[2:]
        if (size and x.shape[2:] != size) or len(x) % batch:
            found = f"{tuple(x.shape)} for {batch} encoded images of size {tuple(size)}"
            raise ValueError(
                f"The noisy mask does not fit the condition: {found}. Encode the image that belongs to it."
            )
        if training != self.training:
            raise ValueError("The condition was encoded in another mode (train or eval): encode the image again.")
        return len(x) // batch

    def check_image(self, image: Tensor) -> None:
        """Raise ValueError unless `image` is what was encoded: for callers that keep a condition."""
        if image is not self.image and not torch.equal(image, self.image):
            raise ValueError("This condition belongs to another image: encode the image again.")

    def check_timesteps(self, timesteps: Tensor) -> None:
        """Raise ValueError where the condition belongs to other timesteps than these, (B,) or (1,)."""
        if self.timesteps is None or timesteps is self.timesteps:  # a sampler's loop waits for no GPU
            return
        if not torch.equal(*torch.broadcast_tensors(timesteps, self.timesteps)):
            found = f"{self.timesteps.tolist()}, not to {timesteps.tolist()}"
            raise ValueError(f"This condition belongs to the timesteps {found}: take `at` of what `encode` gave.")


class Denoiser(nn.Module, ABC):
    """Base of every denoising network; see the contract above."""

    stride = 1  # of whose multiples the network wants every side; those that take others pad them at the far ends
    spatial_dims = 2  # 2: volumes go through it slice by slice; 3: it takes whole volumes
    item_classes = 1  # how many classes training tells apart by the items' `class`; 1: none

    @abstractmethod
    def encode(self, image: Tensor) -> Condition:
        """(B, C, H, W) -> all that depends on the image alone."""

    def at(self, condition: Condition, timesteps: Tensor) -> Condition:
        """Add what depends on image and timestep: timesteps (B,) or (1,). Here: nothing."""
        return condition

    @property
    def members(self) -> list["Denoiser"]:
        """The networks that the samples of an image are drawn from in turn. Here: this one."""
        return [self]

    @property
    def has_coarse(self) -> bool:
        """Whether the network makes a first guess of its own: whether its class defines `coarse`."""
        return type(self).coarse is not Denoiser.coarse

    def coarse(self, condition: Condition) -> Tensor:
        """The network's own first guess (B, K, H, W) in [0, 1], where a truncated start begins.

        Raises:
            ValueError: where a network has none.
        """
        raise ValueError(
            f"{type(self).__name__} makes no coarse mask: sample from noise (start null, steps from 1 up)."
        )

    @abstractmethod
    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """x (B * N, K, H, W), timesteps (B,) or (1,) -> prediction (B * N, K, H, W); in train mode a dict.

        A network that learns the variance gives 2 K channels, see `target.split_variance`.
        """

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor | dict[str, Tensor]:
        """x (B * N, K, H, W), timesteps (B,) or (1,), context (B, C, H, W) -> as `denoise`."""
        return self.denoise(x, timesteps, self.encode(context))


def add_to_samples(x: Tensor, shared: Tensor) -> Tensor:
    """Add what the samples of an image share: (B * N, C, ...) + (B, C, ...) -> (B * N, C, ...)."""
    if len(x) == len(shared):
        return x + shared
    return (x.unflatten(0, (len(shared), -1)) + shared[:, None]).flatten(0, 1)


def for_samples(x: Tensor, samples: int) -> Tensor:
    """What belongs to images, such as timesteps, for the samples of each: (B, ...) -> (B * N, ...).

    One row stays one: it is that of all images, or broadcasts over the samples of the one there is.
    """
    return x.repeat_interleave(samples, dim=0) if len(x) > 1 else x


def repeated(x: Tensor, count: int) -> Tensor:
    """What belongs to images, for each of `count` samples, image-major: (B, ...) -> (M, ...); (M, ...) as it is."""
    return x if len(x) == count else x.repeat_interleave(count // len(x), dim=0)


def check_channels(image: Tensor, in_channels: int) -> None:
    """Raise ValueError where an image (B, C, ...) has not as many channels as the network takes."""
    if image.shape[1] != in_channels:
        found = f"The image has {image.shape[1]} channels, this network takes {in_channels}"
        raise ValueError(f"{found}: change in_channels, or the images.")


def unwrap(network: nn.Module) -> nn.Module:
    """The network inside a DistributedDataParallel wrapper, or the network itself."""
    return network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
