"""nnU-Net's trainer, whose schedule is one of time and not of epochs, so that it ends when its peers do.

nnU-Net's own schedule is 1000 epochs of 250 iterations, which would take a CPU weeks. Here the learning rate decays by
the same polynomial of the share of the time that is over. Network, loss, optimiser and augmentation are nnU-Net's.
"""

import json
import logging
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from time import monotonic, time
from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from ..diffusion.precision import PrecisionInferer
from ..files import save_atomically
from ..handlers.epoch_log import SECONDS
from ..seeding import seed_everything

try:
    from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
except ImportError as error:
    raise ValueError(f"nnU-Net needs more packages ({error}): install the extra peers.") from error

logger = logging.getLogger(__name__)

VALIDATED = 5  # iterations of training for one of nnU-Net's own validation, as in its schedule
STATE = ("epoch", "elapsed", "network", "optimizer", "scaler", "logging")  # what `restore` takes


class Schedule(NamedTuple):
    """What a `TimedTrainer` does, and where it keeps its state.

    seconds:    of training, validation and saving, over all interruptions.
    iterations: of an epoch.
    seed:       of every epoch, with its number.
    precision:  of the forward pass, "float32" (on a GPU nnU-Net's own, float16) or "bfloat16".
    path:       of the state, saved at the end of every epoch.
    facts:      plain values that are saved with it.
    curves:     folder for TensorBoard.
    """

    seconds: float
    iterations: int
    seed: int
    precision: str
    path: Path
    facts: Mapping[str, Any]
    curves: Path


class TimedTrainer(nnUNetTrainer):  # type: ignore[misc]  # it has no types
    """Trains until the time is over; call `follow` before `run_training`."""

    def follow(self, schedule: Schedule, saved: Mapping[str, Any] | None = None) -> None:
        """Take this schedule, and go on from what an interrupted run has saved.

        nnU-Net makes itself anew from the arguments of its constructor, which therefore takes no others.
        """
        self.schedule = schedule
        self.num_iterations_per_epoch = schedule.iterations
        self.num_val_iterations_per_epoch = max(1, schedule.iterations // VALIDATED)
        self.spent, self.started = 0.0, monotonic()  # s: before this call; when it began
        self.counted = 0.0  # s: of the epochs in the curves
        self.step, self.reserve = 0.0, 0.0  # s: that the last iteration and the last end of an epoch took
        self.initialize()
        if schedule.precision == "bfloat16":
            self._compute_in_bfloat16()
        if saved is not None:
            self.restore(saved)

    def _compute_in_bfloat16(self) -> None:
        """The forward pass in bfloat16, which nnU-Net does not know; its losses stay in float32."""
        inferer, forward = PrecisionInferer(self.schedule.precision), self.network.forward
        self.network.forward = lambda image: [output.float() for output in inferer(image, forward)]

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.spent + monotonic() - self.started

    @property
    def is_over(self) -> bool:
        """Whether one more iteration and the end of its epoch would take more time than is left."""
        return self.elapsed + self.step + self.reserve >= self.schedule.seconds

    # Training

    def run_training(self) -> None:
        """As nnU-Net's, but for the end; at least one iteration is done."""
        self.on_train_start()
        self.started = monotonic()
        with SummaryWriter(str(self.schedule.curves)) as self.curves:
            while not (self.is_over and self.current_epoch):
                seed_everything(self.schedule.seed, self.current_epoch)
                self.on_epoch_start()
                self.on_train_epoch_start()
                outputs = [self.train_step(next(self.dataloader_train))]
                while len(outputs) < self.num_iterations_per_epoch and not self.is_over:
                    outputs.append(self.train_step(next(self.dataloader_train)))
                ended = monotonic()
                self.on_train_epoch_end(outputs)
                self._validate()
                self.on_epoch_end()
                self.reserve = monotonic() - ended
        self.on_train_end()

    def _validate(self) -> None:
        """nnU-Net's own validation, of patches."""
        with torch.no_grad():
            self.on_validation_epoch_start()
            batches = range(self.num_val_iterations_per_epoch)
            self.on_validation_epoch_end([self.validation_step(next(self.dataloader_val)) for _ in batches])

    def configure_optimizers(self) -> tuple[Optimizer, PolyLRScheduler]:
        """nnU-Net's; its polynomial runs from 0 to 1, the share of the time that is over."""
        optimizer, _ = super().configure_optimizers()
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, 1)

    def on_train_epoch_start(self) -> None:
        """The rate is set in every iteration."""
        self.network.train()

    def train_step(self, batch: dict) -> dict:
        """One iteration, at the rate of its time.

        Raises:
            RuntimeError: where the loss is not finite; it names the cases of the batch.
        """
        began = self.elapsed
        self.lr_scheduler.step(min(1.0, began / self.schedule.seconds))
        output = super().train_step(batch)
        if not isfinite(output["loss"]):
            where = f"epoch {self.current_epoch + 1}; the last checkpoint is untouched"
            cases = f"Cases of this batch, in nnunet/raw: {', '.join(batch['keys'])}"
            raise RuntimeError(f"The loss is {output['loss']} in {where}. {cases}.")
        self.step = self.elapsed - began
        return dict(output)

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Keep the losses for the curves."""
        super().on_train_epoch_end(train_outputs)
        first = self.current_epoch * self.num_iterations_per_epoch + 1
        for iteration, output in enumerate(train_outputs, start=first):
            self.curves.add_scalar("train_loss", float(output["loss"]), iteration)

    def on_epoch_end(self) -> None:
        """Curves, state, and a line; nnU-Net's own picture of its progress would take seconds of every epoch."""
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        loss, dice = (float(self.logger.get_value(name, step=-1)) for name in ("train_losses", "mean_fg_dice"))
        self.current_epoch += 1
        elapsed = self.elapsed
        self.curves.add_scalar("pseudo_dice", dice, self.current_epoch)
        self.curves.add_scalar(f"nnunet{SECONDS}", elapsed - self.counted, self.current_epoch)
        self.counted = elapsed
        self.curves.flush()
        self.save_checkpoint(str(self.schedule.path))
        share = f"{self.elapsed / 60:.1f} of {self.schedule.seconds / 60:g} minutes"
        logger.info(f"epoch {self.current_epoch}: train_loss {loss:.4f}  pseudo_dice {dice:.4f}  {share}")

    def on_train_end(self) -> None:
        """As nnU-Net's, whose last checkpoint would be a second copy of what is saved."""
        self.disable_checkpointing = True
        super().on_train_end()

    # State

    def save_checkpoint(self, filename: str) -> None:
        """Plain values, which load without running code; not at nnU-Net's places, which are of its own schedule."""
        if self.disable_checkpointing:
            return
        content = {
            **self.schedule.facts,
            "finished": False,
            "epoch": self.current_epoch,
            "elapsed": self.elapsed,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.grad_scaler is None else self.grad_scaler.state_dict(),
            "logging": json.loads(json.dumps(self.logger.get_checkpoint(), default=float)),
        }
        save_atomically(content, filename, keep_previous=True)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take up what `save_checkpoint` has saved."""
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.grad_scaler is not None and saved["scaler"] is not None:
            self.grad_scaler.load_state_dict(saved["scaler"])
        self.logger.load_checkpoint(saved["logging"])
        self.current_epoch, self.spent, self.counted = saved["epoch"], saved["elapsed"], saved["elapsed"]

    # What it leaves out

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """To its own file alone, in `nnunet/results`: the console has a line per epoch."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Not at all: it takes a package that nnU-Net does not ask for."""

    def _do_i_compile(self) -> bool:
        """Never, as our own trainings: compiling takes minutes of a short schedule, and a compiler."""
        return False
