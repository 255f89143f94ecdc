"""After every validation a picture of the same cases, in `progress.png` and in TensorBoard."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite import distributed as idist
from ignite.engine import Engine, Events
from monai.utils import CommonKeys
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ..data.structures import without_background
from ..explain.caption import captioned
from ..explain.progress import progress_picture
from ..files import atomic_file
from ..meta import without_meta
from ..spread import evenly

FILE, TAG = "progress.png", "validation"


class Progress:
    """Of a validator whose output is decollated: image, label and hard mask of some cases, evenly spread over its data.

    Of several processes the first shows cases of its own share.

    Args:
        output_dir: where `progress.png` and the events go.
        exclusive:  channel 0 of label and mask is the background.
        cases:      how many are shown.
    """

    columns = "image, label, mask"  # said below the picture

    def __init__(self, output_dir: str, exclusive: bool = False, cases: int = 6) -> None:
        self.folder, self.exclusive, self.cases = Path(output_dir), exclusive, cases
        self.writer: SummaryWriter | None = None

    def attach(self, engine: Engine) -> None:
        """Collect over an epoch, write at its end."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def start(self, engine: Engine) -> None:
        """Choose the cases."""
        count = len(engine.state.dataloader.sampler)  # type: ignore[arg-type]
        self.chosen = set(evenly(count, self.cases))
        self.seen, self.kept = 0, list[tuple[Tensor, ...]]()

    def add(self, engine: Engine) -> None:
        """Keep those of this batch that were chosen."""
        for item in self.items(engine):
            if self.seen in self.chosen:
                self.kept.append(self.case(item))
            self.seen += 1

    def items(self, engine: Engine) -> Iterable[Mapping[str, Tensor]]:
        """Those of this batch, one by one."""
        return engine.state.output  # type: ignore[return-value]

    def case(self, item: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """What is kept of an item: image (C, H, W[, D]), label and mask (S, H, W[, D])."""
        image, *masks = (on_cpu(item[key]) for key in (CommonKeys.IMAGE, CommonKeys.LABEL, CommonKeys.PRED))
        return image, *(without_background(channels, self.exclusive) for channels in masks)

    def picture(self, engine: Engine) -> np.ndarray:
        """(rows, columns, 3) uint8 of the cases that were kept."""
        return progress_picture(self.kept)  # type: ignore[arg-type]

    def write(self, engine: Engine) -> None:
        """The picture, on the first rank."""
        if idist.get_rank() > 0 or not self.kept:
            return
        picture = captioned(self.picture(engine), f"{self.columns}, epoch {engine.state.epoch}")  # (rows, columns, 3)
        with atomic_file(self.folder / FILE) as file:
            Image.fromarray(picture).save(file, "PNG")
        if self.writer is None:  # now, since only the first rank has one
            self.writer = SummaryWriter(str(self.folder))
        self.writer.add_image(TAG, picture, engine.state.epoch, dataformats="HWC")
        self.writer.flush()


def on_cpu(tensor: Tensor) -> Tensor:
    """Float32, without meta data and graph."""
    return without_meta(tensor).detach().float().cpu()
