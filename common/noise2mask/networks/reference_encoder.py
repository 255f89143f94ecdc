"""The encoder that makes a vector of a reference image, and its contrastive pre-training (DiffusionDCI, section III).

A ResNet-18 without its classifier and one linear layer. It is trained by SimCLR (Chen et al. 2020, "A simple framework
for contrastive learning of visual representations"): two views of an image should have similar projections.

Legend: B images, C channels, H W size, R width of the embedding.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from ..bundles import settings_file
from .weights import load_weights

STAGES = (1, 2, 4, 8)  # channels of a ResNet's stages, in widths of the first


class ReferenceEncoder(nn.Module):
    """ResNet-18 with a strided stem -> mean over all places -> Linear.

    Args:
        in_channels: C.
        embedding:   R.
        width:       channels of the first stage; 64 is the ResNet-18 of the paper.
        frozen:      no gradients, and BatchNorm by its running numbers in train mode too: a batch of one works, and an
            image has the same embedding in every batch. Pre-training needs False.
    """

    def __init__(self, in_channels: int = 3, embedding: int = 512, width: int = 64, frozen: bool = True) -> None:
        super().__init__()
        self.frozen = frozen
        self.backbone = ResNet(
            "basic",
            [2, 2, 2, 2],
            [width * stage for stage in STAGES],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            feed_forward=False,
        )
        self.project = nn.Linear(width * STAGES[-1], embedding)
        self.requires_grad_(not frozen).train()

    def train(self, mode: bool = True) -> "ReferenceEncoder":
        """As of every module, but a frozen encoder stays in eval mode."""
        return super().train(mode and not self.frozen)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1], any size -> (B, R)."""
        return self.project(self.backbone(image))  # (B, R)


def take_trained(
    encoder: ReferenceEncoder,
    path: str | Path | None,
    initial_weights: str | Path | None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Load what pre-training has written, before a training that keeps the encoder as it is.

    Args:
        encoder:         of the network that is to be trained.
        path:            of `train_reference.yaml`; None where `initial_weights`, which hold an encoder, follow.
        initial_weights: of the whole network, loaded by others; its encoder wins.
        settings:        of this training that must be those of pre-training, where these stand beside the file.

    Raises:
        ValueError: as `load_weights`; where neither is given: the encoder would stay as it was drawn; where
            pre-training saw other images.
    """
    if path is not None:
        _check_settings(settings_file(path), settings or {})
        load_weights(encoder, path)
    elif initial_weights is None:
        raise ValueError("The reference encoder is not trained: name reference_file, of train_reference.yaml.")


def _check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    known = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, own in settings.items():
        if name in known and known[name] != own:
            found = f"{file} says {name} {known[name]!r}, this training has {own!r}"
            raise ValueError(f"{found}; expected the same, or the encoder sees other images: correct one of both.")


class ContrastiveProjection(nn.Module):
    """An encoder in pre-training, with a head that is left off afterwards: Linear -> ReLU -> Linear.

    Args:
        encoder: not frozen.
        width:   of the projection.

    Raises:
        ValueError: where the encoder is frozen.
    """

    def __init__(self, encoder: ReferenceEncoder, width: int = 128) -> None:
        super().__init__()
        if encoder.frozen:
            raise ValueError("A frozen encoder can not be trained: give it frozen=False.")
        embedding = encoder.project.out_features
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(embedding, embedding), nn.ReLU(), nn.Linear(embedding, width))

    def forward(self, view: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, width)."""
        return self.head(self.encoder(view))  # (B, width)
