"""STAPLE of classes that exclude one another: one confusion matrix per rater.

The multi-category form of Warfield, Zou and Wells, "Simultaneous truth and performance level estimation", IEEE TMI
23(7), 2004. Rater j has the matrix theta_j, theta_j[d, s] = P(j says d | the truth is s), whose columns sum to 1; with
two categories theta_j[1, 1] is the sensitivity and theta_j[0, 0] the specificity of `staple.py`. A binary problem per
class instead would lose a pixel on which the raters see several structures: to each structure the votes for the others
are votes against it, and the background wins.

Region, ballots and iteration are those of `staple.py`, with a label for a vote. Channel 0 is the background: the region
is the box around all votes for a structure plus the margin, and outside it the background has probability 1.

Shapes: B batch, N samples (raters), K classes, S spatial sizes; U distinct ballots of an image, D = N * K votes of a
ballot, one-hot.
"""

from functools import partial

import torch
from torch import Tensor

from .staple import EPSILON, boxes, check_votes, collect, iterate


@torch.no_grad()
def multi_label_staple(votes: Tensor, max_iterations: int = 100, tolerance: float = 1e-7, margin: int = 4) -> Tensor:
    """Posterior probability of each class.

    votes           (B, N, K, *S) bool, one-hot over K, which is at least 2; channel 0 the background
    max_iterations  at least 1; EM steps at most
    tolerance       an image stops when no entry of a confusion matrix moved by more than this
    margin          pixels, at least 0; added on each side to the box around all structures of an image

    Returns (B, K, *S) float32, sum 1 over K. Where all raters agree on a whole image, it keeps its value. Raises
    ValueError where the votes are not one-hot.
    """
    check_votes(votes, max_iterations, margin)
    _check_exclusive(votes)
    labels = votes.byte().argmax(dim=2, keepdim=True)  # (B, N, 1, *S)
    voted = (labels > 0).any(dim=1)  # (B, 1, *S)
    inside = boxes(voted, margin)  # (B, 1, *S)
    ballots = collect(labels, voted, inside, votes.shape[2])
    said = _one_hot(ballots.table, votes.shape[2])  # (B, U, N, K)
    posterior = _expectation_maximisation(said, ballots.weight, max_iterations, tolerance)  # (B, U, K)
    posterior = posterior.to(votes.device, torch.float32)
    background = torch.eye(votes.shape[2], device=votes.device)[:1]  # (1, K)
    result = torch.where(inside, _spread(posterior[:, 0], votes), _spread(background, votes))  # (B, K, *S)
    result.movedim(1, -1)[voted[:, 0]] = posterior[ballots.problem, ballots.slot]
    unanimous = (labels == labels[:, :1]).flatten(1).all(dim=1, keepdim=True)  # (B, 1)
    return torch.where(_spread(unanimous, votes), votes[:, 0].to(result.dtype), result)  # (B, K, *S)


def _check_exclusive(votes: Tensor) -> None:
    if votes.shape[2] < 2 or not votes.sum(dim=2).eq(1).all():
        raise ValueError(
            f"multi-label STAPLE got votes of shape {tuple(votes.shape)} that do not name one of at least two "
            "classes at every pixel, expected one-hot classes: take the argmax of the samples, or staple where classes "
            "overlap."
        )


def _one_hot(labels: Tensor, categories: int) -> Tensor:
    """(...) -> (..., K), in the type of the labels."""
    return (labels.unsqueeze(-1) == torch.arange(categories)).to(labels.dtype)


def _spread(values: Tensor, votes: Tensor) -> Tensor:
    """(B, C) -> (B, C, 1, ...), to be broadcast over the pixels."""
    return values.reshape(*values.shape, *[1] * (votes.ndim - 3))


def _expectation_maximisation(said: Tensor, weight: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """Iterate from the shares of the votes, whose mean over the region is the prior too."""
    truth = said.mean(dim=2)  # (B, U, K)
    mass = weight.unsqueeze(2)  # (B, U, 1)
    prior = (mass * truth).sum(dim=1, keepdim=True) / mass.sum(dim=1, keepdim=True)  # (B, 1, K)
    ballots = said.flatten(2)  # (B, U, D)
    maximise, expect = partial(_confusion, ballots, mass), partial(_posterior, ballots, prior)
    return iterate(truth, maximise, expect, max_iterations, tolerance)  # (B, U, K)


def _confusion(ballots: Tensor, mass: Tensor, truth: Tensor) -> Tensor:
    """M step: theta_j[d, s] = sum of W[s] over the pixels where j says d / sum of W[s]; rows j * K + d, columns s."""
    shares = mass * truth  # (B, U, K)
    confusion = (ballots.mT @ shares) / shares.sum(dim=1, keepdim=True).clamp_min(EPSILON)  # (B, D, K)
    return confusion.clamp(EPSILON, 1 - EPSILON)  # (B, D, K)


def _posterior(ballots: Tensor, prior: Tensor, confusion: Tensor) -> Tensor:
    """E step: W[s] = f[s] prod_j theta_j[d_j, s] / (the same summed over s), f the prior, in logarithms.

    A class that nobody voted for has log f = -inf and probability 0.
    """
    return (prior.log() + ballots @ confusion.log()).softmax(dim=2)  # (B, U, K)
