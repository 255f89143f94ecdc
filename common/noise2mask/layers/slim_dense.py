"""Slim dense block, SDB (PGDiffSeg, section 3.1, equation 1 and figure 3).

A dense block without concatenation: earlier outputs are added with the small weight chi, so all layers keep one width.

Legend: B batch, C channels, H W size.
"""

from typing import Literal

from torch import Tensor, nn

from .norm import norm_layer


class SlimDenseBlock(nn.Module):
    """x_1 = H_1(x_0); x_i = H_i(x_{i-1}) + chi * (x_1 + ... + x_{i-1}) for i >= 2; the result is x_L (equation 1).

    Args:
        in_channels:  of the input x_0, which is never in the sum.
        channels:     C of every layer.
        num_layers:   L; figure 3 draws 4 as an example, the authors' later setting is 3.
        chi:          weight of the sum of earlier outputs (0.2 in the paper).
        dense_sum:    what is summed: "outputs" x_j (equation 1), or "raw", the bare H_j (the authors' code); up to two
                      layers they are the same.
        norm:         "batch" as in figure 3, or "group", which does not mix the timesteps of a batch.
        num_groups:   of GroupNorm.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_layers: int = 3,
        chi: float = 0.2,
        dense_sum: Literal["outputs", "raw"] = "outputs",
        norm: Literal["batch", "group"] = "batch",
        num_groups: int = 16,
    ) -> None:
        super().__init__()
        widths = [in_channels] + [channels] * num_layers
        if dense_sum not in ("outputs", "raw"):
            raise ValueError(f"dense_sum is 'outputs' or 'raw', found {dense_sum!r}.")
        self.chi = chi
        self.raw = dense_sum == "raw"
        self.layers = nn.ModuleList(
            _layer(before, after, norm, num_groups) for before, after in zip(widths[:-1], widths[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, C, H, W)."""
        x = self.layers[0](x)  # (B, C, H, W)
        earlier = x  # (B, C, H, W): the sum over x_1 .. x_{i-1}
        for layer in self.layers[1:]:
            bare = layer(x)  # (B, C, H, W)
            x = bare + self.chi * earlier  # (B, C, H, W)
            earlier = earlier + (bare if self.raw else x)  # (B, C, H, W)
        return x  # (B, C, H, W)


def _layer(in_channels: int, channels: int, norm: str, num_groups: int) -> nn.Sequential:
    """H of figure 3: two convolutions with nothing between them, norm, LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.Conv2d(channels, channels, 3, padding=1),
        norm_layer(norm, num_groups, channels),
        nn.LeakyReLU(0.01),
    )
