"""Probabilities that mean what they say: temperature scaling (Guo et al., ICML 2017, section 4.2), after the fusion.

Networks are surer than they are right. One number, found on validation images, flattens their probabilities; it moves
none across 0.5, nor another class to the front, so that masks stay as they are.

Legend: B images, K classes, S spatial sizes.
"""

import torch
from torch import Tensor

LEAST = 1e-3  # what a mean of few samples can not tell from 0, nor 1 minus it from 1


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless a temperature is above 0."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0; 1 changes nothing.")


def tempered(probability: Tensor, temperature: float, exclusive: bool = False) -> Tensor:
    """Scale the logits by 1 / temperature.

    Args:
        probability: (B, K, *S) in [0, 1]; of exclusive classes it sums to 1 over K.
        temperature: above 0; above 1 flattens, 1 leaves all as it is.
        exclusive:   classes exclude one another: softmax(ln p / T), else sigmoid(logit p / T).

    Returns:
        (B, K, *S) in [0, 1].
    """
    if temperature == 1:
        return probability
    bounded = probability.clamp(LEAST, 1 - LEAST)  # (B, K, *S)
    if exclusive and probability.shape[1] > 1:
        return (bounded.log() / temperature).softmax(dim=1)  # (B, K, *S)
    return torch.sigmoid(bounded.logit() / temperature)  # (B, K, *S)
