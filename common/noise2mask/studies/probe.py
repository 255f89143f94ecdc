"""Which features of a diffusion model hold the mask: a small decoder for every block and timestep (DiffusionDCI, IV-C).

Images get noise of a timestep, DSDM sees them, and what one block of its decoder has made of them is all that the small
decoder may look at. Its mean IoU on held-out images says where to take features for segmentation.

Legend: M images, C image channels, K classes, H W size, c_i channels and s_i size of block i.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..diffusion.noise import NoiseSource
from ..diffusion.noise_schedule import NoiseSchedule
from ..diffusion.prepare_features import check_timestep
from ..diffusion.stored_features import Features, StoredFeatures
from ..digest import digest
from ..explain.probe_figure import write_probe_figure
from ..losses.class_loss import ClassLoss
from ..meta import without_meta
from ..metrics.case_scores import BACKGROUND
from ..metrics.overlap import count, overlap
from ..networks.dsdm_with_reference import DSDMWithReference
from ..networks.pixel_decoder import PixelDecoder
from ..seeding import derived_seed, seed_everything
from .rows import Rows

logger = logging.getLogger(__name__)

AT_ONCE = 16  # images of one pass of DSDM, and of one step of a decoder
LEAK = "DSDM was given the masks that are to be found: a look inside the generator, no evidence for segmentation."


class Tiles(NamedTuple):
    """Images with masks and noise, which stay the same for all blocks and timesteps."""

    image: Tensor  # (M, C, H, W) in [-1, 1]
    mask: Tensor  # (M, K, H, W), one-hot, all zero where nobody labelled
    noise: Tensor  # (M, C, H, W)


class Probe:
    """Writes `probe.csv`, `probe.json` and the heat map `probe.png`; goes on when interrupted.

    Args:
        training:       items with `image` (C, H, W) in [-1, 1] and one-hot `label` (K, H, W), to train decoders on.
        validation:     the same, held out: when to stop, and the score.
        images:         how many of both are taken, drawn by the seed; the paper has a small subset.
        dsdm:           the diffusion model with its weights.
        noise_schedule: as it was trained.
        structures:     names of the classes but the background.
        timesteps:      of the noise. The paper's 1000 is 999 here, where they count from 0.
        output_dir:     where the files go.
        oracle_mask:    True gives DSDM the mask that is to be found, as the paper did; files then begin with
            `probe_oracle_mask`. False gives it none, as at segmentation.
        epochs:         of a decoder, at most.
        patience:       epochs without a better score after which it stops.
        learning_rate:  of Adam.
        features_dir:   folder in which features are kept (`StoredFeatures`); None computes them in every call.
        seed:           of the subset, the noise and the decoders.
        device:         of the networks.

    Raises:
        ValueError: where the schedule has no such timestep, a class is in none of the images, the folder can not be
            written to, or holds rows of other weights, images or settings.
    """

    def __init__(
        self,
        training: Sequence[Any],
        validation: Sequence[Any],
        images: Sequence[int],
        dsdm: DSDMWithReference,
        noise_schedule: NoiseSchedule,
        structures: Sequence[str],
        timesteps: Sequence[int],
        output_dir: str,
        oracle_mask: bool = False,
        epochs: int = 50,
        patience: int = 5,
        learning_rate: float = 1.0e-3,
        features_dir: str | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        for timestep in timesteps:
            check_timestep(timestep, noise_schedule)
        self.dsdm, self.schedule, self.timesteps = dsdm.to(device).eval(), noise_schedule, list(timesteps)
        self.names, self.oracle, self.seed, self.device = [BACKGROUND, *structures], oracle_mask, seed, device
        self.epochs, self.patience, self.learning_rate = epochs, patience, learning_rate
        sets = zip((training, validation), images, strict=True)
        self.training, self.validation = (self._drawn(items, number, i) for i, (items, number) in enumerate(sets))
        self._check_classes()
        self.entries = range(len(dsdm.decoder))
        self.stored = StoredFeatures(features_dir, dsdm) if features_dir else None
        self.name = "probe_oracle_mask" if oracle_mask else "probe"
        self.rows = Rows(Path(output_dir), self.name, self._basis())

    def run(self) -> list[dict[str, Any]]:
        """A row per block and timestep, and the figure."""
        rows = [row for timestep in self.timesteps for row in self._at(timestep)]
        title = LEAK if self.oracle else "DSDM was given the image as reference, and no mask."
        write_probe_figure(rows, title, self.rows.folder / f"{self.name}.png")
        best = max(rows, key=lambda row: row["miou_with_background"])
        logger.info(f"best: block {best['block']} at timestep {best['timestep']} -> {self.rows.folder}")
        return rows

    # Data

    def _drawn(self, items: Sequence[Any], number: int, which: int) -> Tiles:
        """Some of the items; which = 0 to train, 1 to validate."""
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(derived_seed(self.seed, which)))
        places = order[:number].tolist()
        found = [items[place] for place in places]
        image, mask = (torch.stack([without_meta(item[key]).float() for item in found]) for key in ("image", "label"))
        seeds = [derived_seed(self.seed, which, place) for place in places]
        return Tiles(image, mask, NoiseSource(seeds, range(1), len(image), image.shape[1:])())

    def _check_classes(self) -> None:
        there = self.training.mask.flatten(2).any(2).any(0).tolist()  # (K,)
        missing = [name for name, has in zip(self.names, there, strict=True) if not has]
        if missing:
            found = f"No training image that was drawn holds {', '.join(missing)}"
            raise ValueError(f"{found}; expected some of each class: take more images, or another seed.")

    def _basis(self) -> dict[str, Any]:
        own = ("oracle", "seed", "epochs", "patience", "learning_rate")
        sets = {"training": self.training, "validation": self.validation}
        data = {f"{name} {key}": value for name, tiles in sets.items() for key, value in tiles._asdict().items()}
        settings = {name: getattr(self, name) for name in own}
        diffusion = {"network": self.dsdm.shape, "noise_schedule": repr(self.schedule)}
        return {"weights": digest(self.dsdm.state_dict()), "data": digest(data), "settings": settings | diffusion}

    # Features

    def _at(self, timestep: int) -> list[dict[str, Any]]:
        """The rows of a timestep; its features are made once, where any row is not there yet."""
        keys = {block: f"block {block}, timestep {timestep}" for block in self.entries}
        sets: list[Features] = []
        if not set(keys.values()) <= set(self.rows.rows):
            sets = [self._features(tiles, timestep) for tiles in (self.training, self.validation)]

        def probed(block: int) -> dict[str, Any]:
            own = {"block": block, "timestep": timestep, "oracle_mask": self.oracle}
            return own | self._probed([features[block] for features in sets], derived_seed(self.seed, block, timestep))

        return [self.rows.get(key, partial(probed, block)) for block, key in keys.items()]

    def _features(self, tiles: Tiles, timestep: int) -> Features:
        """{i: (M, c_i, *s_i)}."""
        parts = [self._pass(Tiles(*own), timestep) for own in zip(*(t.split(AT_ONCE) for t in tiles), strict=True)]
        return {i: torch.cat([part[i].cpu() for part in parts]) for i in self.entries}  # a GPU has no room for all

    @torch.no_grad()
    def _pass(self, tiles: Tiles, timestep: int) -> Features:
        """One pass of DSDM."""
        tiles = Tiles(*(value.to(self.device) for value in tiles))
        mask = tiles.mask if self.oracle else None
        given = {"x": self.schedule.noised(tiles.image, tiles.noise, timestep), "image": tiles.image}
        t = torch.tensor([timestep], device=self.device)  # (1,)

        def compute() -> Features:
            return self.dsdm.features(given["x"], t, self.dsdm.encode(mask, tiles.image), self.entries)

        if self.stored is None:
            return compute()
        named = given | ({} if mask is None else {"mask": mask})
        return self.stored.get(named, timestep, self.entries, compute)

    # Decoders

    def _probed(self, features: Sequence[Tensor], seed: int) -> dict[str, Any]:
        """Train a decoder on features (M, c_i, *s_i) of the training tiles; scores of its best epoch on the others'."""
        seed_everything(seed)
        train, held_out = features
        decoder = PixelDecoder(train.shape[1], len(self.names)).to(self.device)
        optimizer = torch.optim.Adam(decoder.parameters(), self.learning_rate)
        best: dict[str, Any] = {}
        for epoch in range(1, self.epochs + 1):
            self._epoch(decoder, optimizer, train)
            scores = self._scores(decoder, held_out)
            if not best or scores["miou_with_background"] > best["miou_with_background"]:
                best = {**scores, "epoch": epoch}
            if epoch - best["epoch"] >= self.patience:
                break
        return best

    def _epoch(self, decoder: PixelDecoder, optimizer: torch.optim.Optimizer, features: Tensor) -> None:
        decoder.train()
        mask = self.training.mask
        for part in torch.randperm(len(mask)).split(AT_ONCE):
            logits = decoder(features[part].to(self.device), mask.shape[2:])  # (b, K, H, W)
            loss = ClassLoss()({"logits": logits}, {"mask": mask[part].to(self.device)})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def _scores(self, decoder: PixelDecoder, features: Tensor) -> dict[str, float]:
        """IoU of each class over all pixels of all held-out images, NaN where no pixel has it, and the means."""
        label, size = self.validation.mask, self.validation.mask.shape[2:]
        parts = (decoder.eval()(part.to(self.device), size).argmax(1).cpu() for part in features.split(AT_ONCE))
        found = torch.cat(list(parts))  # (M, H, W)
        labelled = label.any(1)  # (M, H, W)
        iou = {}
        for k, name in enumerate(self.names):
            counts = count((found == k) & labelled, label[:, k])
            iou[name] = overlap(counts)["iou"] if label[:, k].any() else float("nan")
        means = {"miou": _mean(iou, self.names[1:]), "miou_with_background": _mean(iou, self.names)}
        return {**means, **{f"iou_{name}": value for name, value in iou.items()}}


def _mean(values: dict[str, float], names: Sequence[str]) -> float:
    known = [values[name] for name in names if values[name] == values[name]]
    return sum(known) / len(known) if known else float("nan")
