"""Grad-CAM of any layers of a network (Selvaraju et al., ICCV 2017, equations 1 and 2), leaving no trace in it.

MONAI's `GradCAM` clears the parameters' gradients, needs parameters that have some, runs the network once per layer and
inverts the map; this takes all layers in one pass, and the gradients by `torch.autograd.grad`, which touches nothing.

Legend: B images, C channels, S size of a layer's map.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

ROUNDING = 1e-5  # of a mean over a map, in means of absolute values


def heat_maps(network: nn.Module, layers: Sequence[str], score: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Where each layer's features raise the score.

    Args:
        network: in eval mode, in which images do not influence one another.
        layers:  names of its modules whose output is one tensor (B, C, *S); of a module that is called several times
            the last call counts.
        score:   evaluates the network once and gives a number for each image, (B,).

    Returns:
        By layer, in the order in which they were evaluated, (B, *S) from 0 up; see `scaled`.

    Raises:
        ValueError: where there is no such layer, its output is no such tensor, or does not influence the score.
    """
    check_layers(network, layers)
    with torch.enable_grad(), _outputs(network, layers) as outputs:
        total = score().sum()
        if missing := [name for name in layers if name not in outputs]:
            raise ValueError(f"The layer {missing[0]} takes no part in this score: take it out of the layers.")
        gradients = torch.autograd.grad(total, [outputs[name] for name in layers], allow_unused=True)
    found = dict(zip(layers, gradients, strict=True))
    if idle := [name for name, gradient in found.items() if gradient is None]:
        raise ValueError(f"The layer {idle[0]} does not influence this score: take it out of the layers.")
    return {name: heat_map(output, found[name]) for name, output in outputs.items()}


@torch.no_grad()
def heat_map(activation: Tensor, gradient: Tensor) -> Tensor:
    """ReLU(sum_c alpha_c A_c), alpha_c the spatial mean of the gradient: (B, C, *S) twice -> (B, *S) from 0 up."""
    axes = tuple(range(2, activation.ndim))
    weights = gradient.mean(dim=axes, keepdim=True)  # (B, C, 1, ..), equation 1
    # A norm of single channels takes their mean away, and the gradient's mean is 0: what is left of it is rounding
    weights = weights * (weights.abs() > ROUNDING * gradient.abs().mean(dim=axes, keepdim=True))
    return (weights * activation).sum(dim=1).relu()  # (B, *S), equation 2


def scaled(heat: Tensor) -> Tensor:
    """Each image's map with its largest value 1: (B, *S) from 0 up -> (B, *S) in [0, 1]; a map of zeros stays so."""
    largest = heat.flatten(1).amax(dim=1).reshape(-1, *[1] * (heat.ndim - 1))  # (B, 1, ..)
    return heat / torch.where(largest > 0, largest, 1)  # (B, *S)


def matching_layers(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Layers by their names, in the order of the patterns and of the network.

    Args:
        network:  whose modules they are.
        patterns: names such as "middle", in which a star is any text of one part: "decoder.stages.*".

    Raises:
        ValueError: where there is none of a pattern.
    """
    known = [name for name, _ in network.named_modules() if name]
    found: list[str] = []
    for pattern in patterns:
        own = [name for name in known if _matches(name, pattern)]
        check_layers(network, own or [pattern])
        found += own
    return found


def _matches(name: str, pattern: str) -> bool:
    """Part by part."""
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def check_layers(network: nn.Module, layers: Sequence[str]) -> None:
    """Raise ValueError where the network has no such module; it names those that there are."""
    known = [name for name, _ in network.named_modules() if name]
    if unknown := [name for name in layers if name not in known]:
        near = get_close_matches(unknown[0], known, 3, cutoff=0.3)
        parts = sorted({name.split(".")[0] for name in known})
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(
            f"{type(network).__name__} has no layer {unknown[0]!r}; expected one inside of {', '.join(parts)}.{hint}"
        )


@contextmanager
def _outputs(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """What the layers give while the network runs, each with a gradient to be asked for."""
    outputs: dict[str, Tensor] = {}
    modules = dict(network.named_modules())

    def keep(name: str) -> Callable[..., Tensor]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> Tensor:
            if not isinstance(output, Tensor) or output.ndim < 3:
                found = f"{type(output).__name__}" + (f" of {output.ndim} axes" if isinstance(output, Tensor) else "")
                raise ValueError(f"The layer {name} gives a {found}; expected one feature map: take a layer inside.")
            # Of a frozen part nothing asks for gradients: its output then begins a graph of its own.
            own = output if output.requires_grad else output.detach().requires_grad_()
            outputs[name] = own
            return own.clone()  # what follows may work in place

        return hook

    hooks = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
