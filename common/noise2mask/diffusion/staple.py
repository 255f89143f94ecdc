"""STAPLE: one segmentation out of many, each rater weighed by how well it agrees with the estimated truth.

Expectation maximisation after Warfield, Zou and Wells, "Simultaneous truth and performance level estimation", IEEE
TMI 23(7), 2004, with their letters: W the posterior, p sensitivity, q specificity. Each class channel of each image is
a binary problem of its own; for classes that exclude one another see `multi_label_staple.py`. The posterior of a pixel
depends on nothing but its ballot (the N votes on it), so the EM runs on the distinct ballots of a problem, weighted by
how many pixels cast them: the same numbers as pixel by pixel, for far less work.

The prior is the mean vote, so the region matters: on a whole picture, mostly background, STAPLE believes what few
raters saw. The region is therefore the box around all votes plus a fixed margin; nobody voted outside it, and the
posterior there is 0. (benchmarks/staple_region.py, fused area by true area: margin 0 1.00, 4 1.05, 8 1.10, 16 1.17,
whole picture 1.22.) False votes far from the object still widen the box.

Shapes: B batch, N samples (raters), K classes, S spatial sizes; P = B * K problems, M pixels with a vote, U distinct
ballots of a problem.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-12  # keeps the logarithms of a perfect (or perfectly wrong) rater finite
KEY_BITS = 24  # 2**24 times the largest number of pixels fits into 64 bits


class Ballots(NamedTuple):
    """The distinct ballots of every problem; slot 0 is the empty ballot, unused slots have weight 0."""

    table: Tensor  # (P, U, N) float64 on the CPU, votes 0 or 1 (or labels)
    weight: Tensor  # (P, U) float64 on the CPU, pixels of the region that cast this ballot
    problem: Tensor  # (M,) the problem of each pixel with a vote
    slot: Tensor  # (M,) its ballot in the table


@torch.no_grad()
def staple(votes: Tensor, max_iterations: int = 100, tolerance: float = 1e-7, margin: int = 4) -> Tensor:
    """Posterior probability of the hidden true segmentation.

    votes           (B, N, K, *S) bool, the thresholded samples
    max_iterations  at least 1; EM steps at most
    tolerance       a problem stops when no sensitivity or specificity moved by more than this
    margin          pixels, at least 0; added on each side to the box around all votes of a problem

    Returns (B, K, *S) float32. Where all raters agree on a whole image, it keeps its value (0 or 1).
    """
    check_votes(votes, max_iterations, margin)
    voted = votes.any(dim=1)  # (B, K, *S)
    inside = boxes(voted, margin)  # (B, K, *S)
    ballots = collect(votes, voted, inside)
    posterior = _expectation_maximisation(ballots.table, ballots.weight, max_iterations, tolerance)  # (P, U)
    posterior = posterior.to(votes.device, torch.float32)
    empty = posterior[:, 0].reshape(voted.shape[:2] + (1,) * (voted.ndim - 2))  # (B, K, 1, ...)
    result = inside * empty  # (B, K, *S)
    result[voted] = posterior[ballots.problem, ballots.slot]
    unanimous = (votes.all(dim=1) == voted).flatten(2).all(dim=2).reshape(empty.shape)
    return torch.where(unanimous, voted.to(result.dtype), result)  # (B, K, *S)


def check_votes(votes: Tensor, max_iterations: int, margin: int) -> None:
    """Refuse what no STAPLE can work with."""
    if votes.dtype != torch.bool:
        raise ValueError(f"STAPLE got votes of type {votes.dtype}, expected torch.bool: threshold the samples first.")
    if votes.ndim < 4 or votes.numel() == 0:
        raise ValueError(
            f"STAPLE got votes of shape {tuple(votes.shape)}, expected (batch, samples, classes, *spatial), none of "
            "them 0: add the missing axes, for one class votes.unsqueeze(2)."
        )
    if max_iterations < 1 or margin < 0:
        raise ValueError(
            f"STAPLE got max_iterations={max_iterations} and margin={margin}, expected at least 1 and at least 0: "
            "correct them."
        )


def boxes(voted: Tensor, margin: int) -> Tensor:
    """True in the box around the votes of each problem and up to `margin` pixels beyond."""
    inside = torch.ones_like(voted)
    axes = range(2, voted.ndim)
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        line = (voted.any(dim=others) if others else voted).byte()  # (B, K, L)
        length = line.shape[-1]
        first = line.argmax(dim=-1, keepdim=True)  # (B, K, 1)
        last = length - 1 - line.flip(-1).argmax(dim=-1, keepdim=True)  # (B, K, 1)
        place = torch.arange(length, device=voted.device)
        within = (place >= first - margin) & (place <= last + margin)  # (B, K, L)
        inside &= within.reshape(voted.shape[:2] + tuple(length if other == axis else 1 for other in axes))
    return inside  # (B, K, *S)


def collect(votes: Tensor, voted: Tensor, inside: Tensor, categories: int = 2) -> Ballots:
    """Sort the pixels by ballot. All empty pixels of a region are one ballot: only pixels with a vote are looked at.

    votes   (B, N, K, *S) in 0 .. categories - 1, 0 an empty vote
    voted   (B, K, *S) bool, where a vote is not empty
    inside  (B, K, *S) bool, the region
    """
    problems, raters, device = voted.shape[0] * voted.shape[1], votes.shape[1], votes.device
    cast = votes.movedim(1, -1)[voted]  # (M, N)
    pixels = voted.flatten(2).sum(dim=2).flatten()  # (P,)
    problem = torch.arange(problems, device=device).repeat_interleave(pixels)  # (M,)
    number, counts = _number(problem, cast, categories)  # (M,), (distinct,)

    # One pixel stands for each distinct ballot. The numbers ascend with the problem: a slot is a number less the
    # first of its problem.
    example = torch.empty_like(counts)
    example[number] = torch.arange(len(number), device=device)
    owner = problem[example].cpu()  # (distinct,)
    distinct = torch.bincount(owner, minlength=problems)  # (P,)
    slot = 1 + torch.arange(len(owner)) - (distinct.cumsum(0) - distinct)[owner]  # (distinct,)

    table = torch.zeros(problems, 1 + int(distinct.max()), raters, dtype=torch.float64)
    weight = torch.zeros(table.shape[:2], dtype=torch.float64)
    table[owner, slot] = cast[example].cpu().double()
    weight[owner, slot] = counts.cpu().double()
    weight[:, 0] = (inside.flatten(2).sum(dim=2).flatten() - pixels).cpu().double()
    return Ballots(table, weight, problem, slot.to(device)[number])


def _number(problem: Tensor, cast: Tensor, categories: int) -> tuple[Tensor, Tensor]:
    """Number the distinct pairs (problem, ballot) in ascending order, and say how often each occurs."""
    number, counts = problem, problem
    for part in cast.split(max(1, int(KEY_BITS / math.log2(categories))), dim=1):
        for vote in part.unbind(dim=1):
            number = categories * number + vote
        _, number, counts = torch.unique(number, return_inverse=True, return_counts=True)
    return number, counts  # (M,), (distinct,)


def _expectation_maximisation(table: Tensor, weight: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """Iterate from the mean vote, which is the prior too."""
    truth = table.mean(dim=2)  # (P, U)
    prior = (weight * truth).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)  # (P, 1)
    maximise, expect = partial(_performance, table, weight), partial(_posterior, table, prior)
    return iterate(truth, maximise, expect, max_iterations, tolerance)  # (P, U)


def iterate(
    truth: Tensor,
    maximise: Callable[[Tensor], Tensor],
    expect: Callable[[Tensor], Tensor],
    max_iterations: int,
    tolerance: float,
) -> Tensor:
    """M and E steps in turn; a converged problem is frozen, so that it does not depend on its neighbours.

    truth     (P, U, ...) the posterior to start from
    maximise  the M step, posterior to performance (P, ...)
    expect    the E step, performance to posterior
    """
    previous = torch.tensor(torch.inf, dtype=truth.dtype)  # of the first step: nothing
    done = torch.zeros(len(truth), *[1] * (truth.ndim - 1), dtype=torch.bool)  # (P, 1, ...)
    for _ in range(max_iterations):
        performance = maximise(truth)  # (P, ...)
        truth = torch.where(done, truth, expect(performance))  # (P, U, ...)
        done |= (performance - previous).abs().flatten(1).amax(dim=1).reshape(done.shape) <= tolerance
        if done.all():
            break
        previous = performance
    return truth  # (P, U, ...)


def _performance(table: Tensor, weight: Tensor, truth: Tensor) -> Tensor:
    """M step: p = sum(W d) / sum(W), q = sum((1 - W)(1 - d)) / sum(1 - W) of each rater with votes d."""
    masses = torch.stack([weight * truth, weight * (1 - truth)], dim=1)  # (P, 2, U)
    positive = (masses @ table) / masses.sum(dim=2, keepdim=True).clamp_min(EPSILON)  # (P, 2, N)
    performance = torch.stack([positive[:, 0], 1 - positive[:, 1]], dim=1)
    return performance.clamp(EPSILON, 1 - EPSILON)  # (P, 2, N)


def _posterior(table: Tensor, prior: Tensor, performance: Tensor) -> Tensor:
    """E step: W = a / (a + b) from log(a / b), since a and b, products over all raters, would underflow.

    a = f prod(p^d (1 - p)^(1 - d)), b = (1 - f) prod((1 - q)^d q^(1 - d)), f the prior.
    """
    sensitivity, specificity = performance.unbind(dim=1)  # (P, N)
    yes = sensitivity.log() - (1 - specificity).log()  # (P, N)
    no = (1 - sensitivity).log() - specificity.log()  # (P, N)
    odds = prior.logit(eps=EPSILON) + no.sum(dim=1, keepdim=True) + (table @ (yes - no).unsqueeze(2)).squeeze(2)
    return odds.sigmoid()  # (P, U)
