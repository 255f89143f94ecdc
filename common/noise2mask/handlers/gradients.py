"""Clips gradients, and stops a run whose loss or gradients are no longer finite."""

import torch
from ignite.engine import Engine
from monai.engines import IterationEvents
from monai.utils import CommonKeys
from torch import nn

from .optimiser_steps import is_step


class ClipGradients:
    """Scale the gradients down to a total norm of at most `max_norm` before every optimiser step.

    Args:
        network:  whose gradients are clipped.
        max_norm: largest total L2 norm.
    """

    def __init__(self, network: nn.Module, max_norm: float = 1.0) -> None:
        self.network = network
        self.max_norm = max_norm

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
        if not is_step(engine):
            return
        scaler = getattr(engine, "scaler", None)
        scaled = scaler is not None and scaler.is_enabled()  # a scaler skips steps that are not finite itself
        if scaled:
            scaler.unscale_(engine.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
        if not scaled and not torch.isfinite(norm):
            raise RuntimeError(_stopped("norm of the gradients", norm, engine))


def _stopped(what: str, value: torch.Tensor, engine: Engine) -> str:
    where = f"epoch {engine.state.epoch}, iteration {engine.state.iteration}"
    return f"The {what} is {value.item()} at {where}: lower the learning rate; the last checkpoint is untouched."
