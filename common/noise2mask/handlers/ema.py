"""Exponential moving average of a network's weights (PGDiffSeg tracks one; here it is validated, saved and used)."""

from copy import deepcopy

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..diffusion.denoiser import unwrap
from .optimiser_steps import is_step, step_number


class EMA:
    """ema <- decay * ema + (1 - decay) * network after every optimiser step, buffers included.

    Ignite's EMAHandler restarts its warm-up when a run resumes; here the decay follows from the step's number alone:
    min(decay, (1 + i) / (10 + i)).

    Args:
        network: whose weights are averaged, in DistributedDataParallel or not.
        decay:   of the average once it is warm, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay of the moving average must lie between 0 and 1, found {decay}.")
        self.source = network
        self.decay = decay
        self.network = deepcopy(unwrap(network)).requires_grad_(False).eval()

    def attach(self, engine: Engine) -> None:
        """Start from the network as it is when the run starts (weights may have been loaded), then follow it."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)

    def start(self, engine: Engine) -> None:
        """Copy the network."""
        self.network.load_state_dict(unwrap(self.source).state_dict())

    @torch.no_grad()
    def update(self, engine: Engine) -> None:
        """One step of the average, where the weights have changed; one operation for all of them."""
        if not is_step(engine):
            return
        i = step_number(engine)
        average_all = get_ema_multi_avg_fn(min(self.decay, (1 + i) / (10 + i)))
        current = unwrap(self.source).state_dict()
        pairs = [(average, current[name]) for name, average in self.network.state_dict().items()]
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        average_all([average for average, _ in floats], [value for _, value in floats], 0)
        for average, value in pairs:
            if not average.is_floating_point():  # BatchNorm's counter
                average.copy_(value)
