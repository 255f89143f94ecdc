"""What Dice a probability expects of its own mask: a triage number for networks that answer once, without samples."""

from torch import Tensor


def expected_dice(mask: Tensor, probability: Tensor) -> float:
    """2 sum(p m) / (sum(p) + sum(m)), as if the label were drawn pixel by pixel with these probabilities.

    Of an empty mask it is 1 minus the largest probability, the chance that there is nothing to be found: the formula
    would give 0 for it, however sure the network is.

    Args:
        mask:        (*S) in {0, 1}.
        probability: (*S) in [0, 1].
    """
    p, m = probability.double(), mask.double()  # sums of large volumes are off in float32
    if not m.any():
        return 1 - p.max().item()
    return (2 * (p * m).sum() / (p.sum() + m.sum())).item()
