"""What the network predicts, and the way from it to the clean mask.

With x_t = alpha x0 + sigma noise and alpha^2 + sigma^2 = 1, a network may predict the noise ("epsilon", Ho et al. 2020,
eq. 14), the clean mask ("x0"), or the velocity v = alpha noise - sigma x0 ("v", Salimans and Ho 2022, "Progressive
distillation", appendix D). Everything after the network works on x0, so both directions stand here and nowhere else.

Legend: B batch; every tensor is (B, K, H, W[, D]); alpha and sigma are numbers or tensors that broadcast to that.
"""

from torch import Tensor

KINDS = ("epsilon", "x0", "v")


def check_kind(kind: str) -> None:
    """Raise ValueError unless `kind` names a target."""
    if kind not in KINDS:
        raise ValueError(f"target is {kind!r}, expected one of {', '.join(KINDS)}")


def check_mask_scale(mask_scale: float) -> None:
    """Raise ValueError unless clean masks have two values."""
    if not mask_scale > 0:
        raise ValueError(f"mask_scale is {mask_scale:g}, expected more than 0: leave it at 0.3, or set the paper's 1.")


def to_target(kind: str, x0: Tensor, noise: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
    """What a network of this kind should predict for x_t = alpha x0 + sigma noise."""
    check_kind(kind)
    if kind == "epsilon":
        return noise  # (B, K, ...)
    if kind == "x0":
        return x0  # (B, K, ...)
    return alpha * noise - sigma * x0  # (B, K, ...)


def to_x0(kind: str, prediction: Tensor, x_t: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
    """The clean mask that a prediction stands for; not clipped."""
    check_kind(kind)
    if kind == "epsilon":
        return (x_t - sigma * prediction) / alpha  # (B, K, ...)
    if kind == "x0":
        return prediction  # (B, K, ...)
    return alpha * x_t - sigma * prediction  # (B, K, ...), as alpha^2 + sigma^2 = 1
