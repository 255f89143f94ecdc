"""What the network predicts, and the way from it to the clean mask.

With x_t = alpha x0 + sigma noise and alpha^2 + sigma^2 = 1, a network may predict the noise ("epsilon", Ho et al. 2020,
eq. 14), the clean mask ("x0"), or the velocity v = alpha noise - sigma x0 ("v", Salimans and Ho 2022, "Progressive
distillation", appendix D). Everything after the network works on x0, so both directions stand here and nowhere else.

A network that learns the variance of a step (`learn_sigma`) gives 2 K channels: the prediction, then where between its
bounds the logarithm of the variance lies, -1 at the lower and 1 at the upper one (Nichol and Dhariwal 2021, eq. 15).

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


def to_epsilon(x0: Tensor, x_t: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
    """The noise that x_t carries if x0 is the clean mask."""
    return (x_t - alpha * x0) / sigma  # (B, K, ...)


def split_variance(prediction: Tensor, classes: int) -> tuple[Tensor, Tensor | None]:
    """Takes a prediction apart: what it says of the mask and, where the network learned one, the variance's fraction.

    Args:
        prediction: (B, K, ...), or (B, 2 K, ...) of a network that learned the variance.
        classes:    K.

    Returns:
        (B, K, ...) twice. The fraction is the v of eq. 15: 0 the lower bound, 1 the upper one. As in the paper nothing
        keeps it between them but training.

    Raises:
        ValueError: where the prediction has neither K nor 2 K channels.
    """
    channels = prediction.shape[1]
    if channels == classes:
        return prediction, None  # (B, K, ...)
    if channels != 2 * classes:
        raise ValueError(
            f"The network predicts {channels} channels, expected {classes}, or {2 * classes} with a learned variance: "
            "give network, inferer and masks the same out_channels."
        )
    prediction, place = prediction.chunk(2, dim=1)  # (B, K, ...) twice, the place in [-1, 1]
    return prediction, (place + 1) / 2  # (B, K, ...) twice
