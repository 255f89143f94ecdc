"""Curves as a training writes them: how long its epochs took."""

from torch.utils.tensorboard import SummaryWriter


def write_times(folder, **phases):
    with SummaryWriter(str(folder)) as writer:
        for phase, seconds in phases.items():
            for epoch, value in enumerate(seconds, start=1):
                writer.add_scalar(f"{phase}_seconds", value, epoch)
