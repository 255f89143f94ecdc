"""Any plain segmentation network in the place of one that sees diffusion features, trained and scored on equal terms.

Legend: B images, N noises of each, M = B * N, C image channels, K classes, H W size.
"""

from torch import Tensor, nn

from ..diffusion.denoiser import Condition, Denoiser, repeated


class PlainSegmenter(Denoiser):
    """A network that maps an image to logits; it sees no noise, so that all samples of an image are the same mask.

    Args:
        network: (B, C, H, W) -> logits (B, K, H, W), such as MONAI's BasicUNet.
    """

    entries: tuple[int, ...] = ()  # of a decoder, at which it takes features: none

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def encode(self, image: Tensor) -> Condition:
        """(B, C, H, W) -> `logits` (B, K, H, W)."""
        return Condition(image, self.training, {"logits": self.network(image)})  # (B, K, H, W)

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """x (M, C, H, W) and timesteps are not looked at -> logits (M, K, H, W); in train mode as `logits`."""
        condition.samples_of(x, self.training)
        logits = repeated(condition["logits"], len(x))  # (M, K, H, W)
        return {"logits": logits} if self.training else logits
