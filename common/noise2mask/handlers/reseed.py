"""Seeds everything from (seed, epoch) and (seed, epoch, iteration): a repeated epoch is the same to the last bit."""

from ignite import distributed as idist
from ignite.engine import Engine, Events
from torch.utils.data import DataLoader

from ..seeding import seed_everything


class Reseed:
    """Reseeds Python, NumPy, torch, the data set's augmentation and the sampler's order.

    Args:
        data_loader: of the trainer; its data set and its sampler are told the epoch where they have `set_epoch`.
        seed:        of the run.
    """

    def __init__(self, data_loader: DataLoader, seed: int = 0) -> None:
        self.data_loader = data_loader
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Ignite makes an epoch's iterator, and with it the order of items, after EPOCH_STARTED."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.epoch)
        engine.add_event_handler(Events.ITERATION_STARTED, self.iteration)

    def epoch(self, engine: Engine) -> None:
        """The order of items and the augmentation."""
        seed_everything(self.seed, engine.state.epoch)  # equal on all ranks: they share the order
        for part in (self.data_loader.dataset, self.data_loader.sampler):
            if hasattr(part, "set_epoch"):
                part.set_epoch(engine.state.epoch)

    def iteration(self, engine: Engine) -> None:
        """Timesteps, noise and dropout; each rank draws its own."""
        seed_everything(self.seed, engine.state.epoch, engine.state.iteration, idist.get_rank())
