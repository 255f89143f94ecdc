"""What Grad-CAM takes the gradient of: one number per image out of a network's answer.

Legend: B images, K classes, S size.
"""

from torch import Tensor

from ..diffusion.feature_inferer import FeatureInferer
from ..diffusion.inferer import EnsembleInferer
from ..diffusion.target import split_variance, to_epsilon, to_x0
from ..diffusion.trace import foreground
from ..names import check_name

SCORES = ("eps_sum", "x0_foreground", "logit_sum")


def check_score(name: str, inferer: EnsembleInferer) -> None:
    """Raise ValueError where a score has no such name, or is of networks that answer otherwise."""
    check_name("score", name, SCORES)
    logits = isinstance(inferer, FeatureInferer)
    if logits != (name == "logit_sum"):
        answer = "logits: expected logit_sum" if logits else f"masks: expected {' or '.join(SCORES[:2])}"
        raise ValueError(f"score is {name}, but this network answers with {answer}.")


def score_of(name: str, inferer: EnsembleInferer, output: Tensor, x: Tensor, timestep: int) -> Tensor:
    """The score of each image, (B,).

    Args:
        name:     "eps_sum", the sum of the predicted noise (the authors of PGDiffSeg); "x0_foreground", the sum of the
            estimated mask over the pixels where it has any structure; "logit_sum", of a network that gives logits, the
            sum of every pixel's largest one.
        inferer:  that the network is sampled with.
        output:   (B, K, *S), of the network; with a learned variance (B, 2 K, *S).
        x:        (B, K, *S), what it was given.
        timestep: of x.

    Raises:
        ValueError: where the name is another.
    """
    check_name("score", name, SCORES)
    if name == "logit_sum":
        return output.amax(dim=1).flatten(1).sum(dim=1)  # (B,)
    alpha, sigma = inferer.noise_schedule.alpha_sigma(timestep)
    prediction, _ = split_variance(output, inferer.out_channels)  # (B, K, *S)
    x0 = to_x0(inferer.target, prediction, x, alpha, sigma)  # (B, K, *S)
    if name == "eps_sum":
        return to_epsilon(x0, x, alpha, sigma).flatten(1).sum(dim=1)  # (B,)
    inside = foreground(x0, inferer.exclusive)  # (B, *S)
    return (inside * (inside > 0)).flatten(1).sum(dim=1)  # (B,)
