"""Any plain segmentation network in a denoiser's place, so that it is trained, validated and scored on equal terms.

It answers with the same mask whatever the noise: one step and one sample are all there is to it, and its uncertainty
across samples is zero.

Legend: B images, N samples of each, M = B * N, K classes, H W size, for whole volumes H W D.
"""

from torch import Tensor, nn

from ..diffusion.denoiser import Condition, Denoiser
from ..layers.encoder_decoder import cropped, padded


class Baseline(Denoiser):
    """A network that maps an image to logits.

    Args:
        network:      (B, C, H, W[, D]) -> logits (B, K, H, W[, D]), such as MONAI's BasicUNet.
        mask_scale:   clean masks live on +-mask_scale.
        exclusive:    classes exclude one another: softmax, else sigmoid.
        stride:       of whose multiples the network wants every side; images are padded to it, and logits cut back.
        spatial_dims: 2, or 3, which takes whole volumes; None: what the network says of itself, or 2.
    """

    def __init__(
        self,
        network: nn.Module,
        mask_scale: float = 0.3,
        exclusive: bool = False,
        stride: int = 1,
        spatial_dims: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        own: int = getattr(network, "spatial_dims", Denoiser.spatial_dims)
        self.spatial_dims = spatial_dims or own
        self.mask_scale = mask_scale
        self.exclusive = exclusive
        self.stride = stride

    def encode(self, image: Tensor) -> Condition:
        """(B, C, H, W) -> `logits` (B, K, H, W)."""
        logits = self.network(padded(image, self.stride))  # (B, K, H and W or more)
        return Condition(image, self.training, {"logits": cropped(logits, image.shape[2:])})  # (B, K, H, W)

    def coarse(self, condition: Condition) -> Tensor:
        """The mask itself: (B, K, H, W) in [0, 1]."""
        logits = condition["logits"]  # (B, K, H, W)
        return logits.softmax(dim=1) if self.exclusive else logits.sigmoid()  # (B, K, H, W)

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """x (M, K, H, W) and timesteps are not looked at -> x0 (M, K, H, W); in train mode with `logits`."""
        samples = condition.samples_of(x, self.training)
        x0 = self.mask_scale * (2 * self.coarse(condition) - 1)  # (B, K, H, W)
        x0 = x0.repeat_interleave(samples, dim=0)  # (M, K, H, W)
        return {"prediction": x0, "logits": condition["logits"]} if self.training else x0
