"""Features of images, by an extractor that the user names: the project's own encoder, or a TorchScript file.

What a distance of features means depends on the extractor, so each carries a name and the SHA-256 of its weights, which
stand beside every score: a Frechet distance is an FID only with the Inception-v3 of that definition.

A TorchScript file holds code, which runs when it is loaded and used: name only a file that you made, or whose source
you trust. A `SHA256SUMS` beside it, where there is one, must list the file as it is.

Legend: N images, H W size, F features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.utils import eval_mode
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..data.tile_images import unit_range
from ..digest import check_published, digest, sha256
from ..networks.reference_encoder import ReferenceEncoder

OWN = "own contrastive encoder"
AT_ONCE = 64  # images in a forward pass


@dataclass(frozen=True)
class Extractor:
    """A network (B, 3, H, W) -> (B, F), and what it expects.

    Args:
        network:     on any device; it is used in eval mode.
        name:        of the network or of its file, for the reports.
        sha256:      of its weights, or of its file.
        size:        side to which images are scaled, in pixels; None leaves them as they are.
        value_range: least and greatest value of an image at the network.
    """

    network: nn.Module
    name: str
    sha256: str
    size: int | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)

    def described(self) -> dict[str, Any]:
        """What tells it from another one, for JSON."""
        about = {"name": self.name, "sha256": self.sha256, "size": self.size}
        return {**about, "value_range": list(self.value_range)}

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), uint8 or floats in [0, 1] -> (N, F), float32 on the CPU, whatever the size of the batches.

        Raises:
            ValueError: where the images are others, or what comes out is not finite or no vector of each image.
        """
        if not len(images):
            raise ValueError("There are no images to take features of: check the folder.")
        with eval_mode(self.network):
            return torch.cat([self._batch(batch) for batch in images.split(AT_ONCE)])

    def _batch(self, images: Tensor) -> Tensor:
        low, high = self.value_range
        seen = _scaled(unit_range(images), self.size) * (high - low) + low
        features = self.network(seen.to(_device(self.network)))
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(images):
            found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            expected = f"expected ({len(images)}, F)"
            raise ValueError(
                f"{self.name} makes {found} of {len(images)} images, {expected}: export its pooled features."
            )
        if not features.isfinite().all():
            raise ValueError(f"{self.name} makes features that are not finite: check its weights and its value_range.")
        return features.float().cpu()


def own_extractor(encoder: ReferenceEncoder) -> Extractor:
    """Of an encoder that was pre-trained contrastively, at the size of the images.

    Args:
        encoder: with its weights; the SHA-256 is that of its state, name by name.
    """
    return Extractor(encoder, OWN, digest(encoder.state_dict()))


def scripted_extractor(
    path: str | Path,
    size: int | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    device: torch.device | str = "cpu",
) -> Extractor:
    """Of a TorchScript file, such as an Inception-v3 that was exported with its pooled features as output.

    The file's code runs: see the top of this module.

    Args:
        path:        of the file, which maps (B, 3, H, W) to (B, F).
        size:        as of `Extractor`; 299 for most Inception-v3.
        value_range: as of `Extractor`.
        device:      where it computes.

    Raises:
        ValueError: where the file is missing, no TorchScript, or not the one that `SHA256SUMS` beside it lists.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist, expected a TorchScript file: give another one.")
    check_published(path)
    try:
        network = torch.jit.load(path, map_location=device)
    except RuntimeError as error:
        kind = type(error).__name__
        raise ValueError(f"{path} is no readable TorchScript ({kind}): export it with torch.jit.save.") from error
    return Extractor(network, Path(path).name, sha256(path), size, value_range)


def unit_length(features: Tensor) -> Tensor:
    """(..., F) -> (..., F), each of length 1, so that products are cosines.

    Raises:
        ValueError: where features are all zero, or not finite.
    """
    length = features.norm(dim=-1, keepdim=True)
    if not (length.isfinite() & (length > 0)).all():
        raise ValueError("Features of an image are all zero or not finite: check the image and the extractor.")
    return features / length


def _scaled(images: Tensor, size: int | None) -> Tensor:
    """(B, 3, H, W) -> (B, 3, size, size); made smaller without aliasing, which would change the features."""
    if size is None or images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)


def _device(network: nn.Module) -> torch.device:
    own: Iterator[Tensor] = network.parameters()
    return next((parameter.device for parameter in own), torch.device("cpu"))
