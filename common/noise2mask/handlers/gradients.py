"""Clips gradients, and stops a run whose loss or gradients are no longer finite."""

from collections.abc import Sequence

import torch
from ignite.engine import Engine
from monai.engines import IterationEvents
from monai.utils import CommonKeys
from torch import Tensor, nn

from ..meta import files_of
from .optimiser_steps import is_step

NORMS = "gradient_norms"  # key of an iteration's output


class ClipGradients:
    """Scale the gradients down to a total norm of at most `max_norm` before every optimiser step.

    Args:
        network:  whose gradients are clipped.
        max_norm: largest total L2 norm.
        apart:    names of parts of the network, each of which is clipped by its own norm; all the rest together. The
                  norms before are in the engine's output under `NORMS`, as `gradient_norm_<name>` and, of the rest,
                  `gradient_norm_rest`.

    Raises:
        AttributeError: where the network has no such part.
    """

    def __init__(self, network: nn.Module, max_norm: float = 1.0, apart: Sequence[str] = ()) -> None:
        self.max_norm = max_norm
        self.norms: dict[str, Tensor] = {}  # of the last step
        self.groups = {name: list(network.get_submodule(name).parameters()) for name in apart}
        named = {id(parameter) for group in self.groups.values() for parameter in group}
        self.groups["rest"] = [parameter for parameter in network.parameters() if id(parameter) not in named]

    def attach(self, engine: Engine) -> None:
        """Check the loss when it is known, the gradients when they are."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.check_loss)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.clip)

    def check_loss(self, engine: Engine) -> None:
        """Raise RuntimeError where the loss is not finite; checkpoints stay as they are."""
        loss = engine.state.output[CommonKeys.LOSS]
        if not torch.isfinite(loss):
            raise RuntimeError(_stopped("loss", loss, engine))

    def clip(self, engine: Engine) -> None:
        """Raise RuntimeError where the gradients' norm is not finite, else clip; accumulated ones when whole."""
        if is_step(engine):
            self.norms = self._clipped(engine)
        engine.state.output[NORMS] = self.norms

    def _clipped(self, engine: Engine) -> dict[str, Tensor]:
        """The norms before, by name."""
        scaler = getattr(engine, "scaler", None)
        scaled = scaler is not None and scaler.is_enabled()  # a scaler skips steps that are not finite itself
        if scaled:
            scaler.unscale_(engine.optimizer)
        norms = {name: nn.utils.clip_grad_norm_(group, self.max_norm) for name, group in self.groups.items()}
        for norm in () if scaled else norms.values():
            if not torch.isfinite(norm):
                raise RuntimeError(_stopped("norm of the gradients", norm, engine))
        return {f"gradient_norm_{name}": norm for name, norm in norms.items()}


def _stopped(what: str, value: torch.Tensor, engine: Engine) -> str:
    where = f"epoch {engine.state.epoch}, iteration {engine.state.iteration}"
    advice = "lower the learning rate; the last checkpoint is untouched"
    return f"The {what} is {value.item()} at {where}: {advice}.{files_of(engine.state.batch)}"
