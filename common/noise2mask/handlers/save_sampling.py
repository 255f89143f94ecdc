"""Writes how the images of some masks come out of noise: pictures, animations and numbers.

Legend: B masks, N images of each, M = B * N, C channels, K classes, H W size, T steps kept.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events

from ..diffusion.inferer import Intermediate
from ..explain.image_sampling import Sampling, sampling_rows, write_sampling_animation, write_sampling_strip
from ..files import check_writable, write_text_atomically
from ..metrics.score_files import csv_text
from ..ranks import gathered
from ..spread import evenly
from .progress import on_cpu

FRAMES = 24  # steps that are kept, at most


class SaveSampling:
    """Of a `GenerationEvaluator`: per mask `sampling_<name>.png` and `.gif` of its first image, of all `sampling.csv`.

    Of a sampler with more steps than 24 as many are kept, evenly spread.

    Args:
        output_dir: where they go.

    Raises:
        ValueError: where the folder can not be written to.
    """

    def __init__(self, output_dir: str) -> None:
        self.folder = Path(output_dir)
        check_writable(self.folder)

    def attach(self, engine: Engine) -> None:
        """Watch the sampler, write after every batch, and the numbers at the end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_STARTED, lambda engine: self.kept.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Choose the steps."""
        inferer: Any = engine.inferer
        self.schedule = inferer.noise_schedule
        self.steps = set(evenly(len(inferer.timesteps), FRAMES))
        self.kept = defaultdict[int, list[tuple[int, torch.Tensor, torch.Tensor]]](list)  # of each mask of the batch
        self.rows: list[dict[str, Any]] = []
        engine.watch = self.keep

    def keep(self, state: Intermediate) -> None:
        """Timestep, x_t and estimate (M, C, H, W) of the first image of each mask, where this is one of the steps."""
        if state.step not in self.steps or state.samples.start > 0:
            return
        first = (on_cpu(own.unflatten(0, (len(state.images), -1))[:, 0]) for own in (state.x, state.x0))
        for number, noised, clean in zip(state.images, *first, strict=True):
            self.kept[number].append((state.timestep, noised, clean))  # (C, H, W) each

    def save(self, engine: Engine) -> None:
        """The files of one batch."""
        output: Any = engine.state.output
        for number, name in enumerate(output["name"]):
            timesteps, noised, clean = zip(*self.kept[number], strict=True)
            given = (on_cpu(output[key][number]) for key in ("label", "reference"))
            sampling = Sampling(list(timesteps), torch.stack(noised), torch.stack(clean), *given)
            write_sampling_strip(sampling, self.folder / f"sampling_{name}.png")
            write_sampling_animation(sampling, self.folder / f"sampling_{name}.gif")
            self.rows += sampling_rows(name, sampling, self.schedule)

    def finish(self, engine: Engine) -> None:
        """sampling.csv."""
        rows = sorted(gathered(self.rows), key=lambda row: row["mask"])  # each mask's steps stay in their order
        if idist.get_rank() == 0:
            write_text_atomically(csv_text(rows), self.folder / "sampling.csv")
