"""Scores what a call of generation has written, against real tiles: files in, files out.

Legend: B masks, N images of each, M real tiles, T training tiles, H W size.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from torch import Tensor

from ..data.tile_images import read_tiles
from ..explain.nearest_tiles import write_nearest_tiles
from ..handlers.generation_batch import GenerationBatch
from ..meta import without_meta
from ..metrics.features import own_extractor, scripted_extractor
from ..metrics.generation_scores import generation_scores, write_generation_scores
from ..networks.reference_encoder import ReferenceEncoder

logger = logging.getLogger(__name__)


def score_generated(
    batch: GenerationBatch,
    samples: int,
    real: Sequence[Any],
    training: Sequence[Any],
    encoder: ReferenceEncoder,
    features: str | Path | None = None,
    features_size: int | None = None,
    features_range: Sequence[float] = (-1.0, 1.0),
) -> None:
    """Write generation_scores.json, nearest_tiles.csv and nearest_tiles.png into the batch's folder.

    Args:
        batch:          whose images are written.
        samples:        N.
        real:           items with an `image` (3, H, W) in [0, 1]: held-out tiles, prepared as those of training.
        training:       the same of the tiles that the network was trained on.
        encoder:        of references, which makes the features where no others are named.
        features:       a TorchScript file that makes them, see `metrics.features`; its code runs.
        features_size:  side of what it takes; None: as the images are.
        features_range: of what it takes.

    Raises:
        ValueError: as `generation_scores`, or where the file is no TorchScript.
    """
    if idist.get_rank() > 0:
        return
    low, high = features_range
    extractor = own_extractor(encoder) if features is None else scripted_extractor(features, features_size, (low, high))
    names = [item["name"] for item in batch.items]
    paths = [batch.folder / "images" / f"{name}_{n}.png" for name in names for n in range(samples)]
    generated, trained = read_tiles(paths), _tensor(training)  # (B N, 3, H, W), (T, 3, H, W)
    patients = [str(item.get("patient", item["name"])) for item in batch.items]
    scores = generation_scores(generated.unflatten(0, (-1, samples)), _tensor(real), trained, extractor, patients)
    write_nearest_tiles(scores["memorisation"]["nearest"], generated, trained, batch.folder / "nearest_tiles.png")
    write_generation_scores(scores, batch.folder)
    distance = scores["frechet_distance"]["generated"]
    logger.info(f"Frechet distance {distance:.4f} of features by {extractor.name} -> {batch.folder}")


def _tensor(items: Sequence[Any]) -> Tensor:
    """Images of items -> (M, 3, H, W), uint8."""
    images = [without_meta(items[number]["image"]) for number in range(len(items))]
    return (torch.stack(images) * 255).round().clamp(0, 255).to(torch.uint8)
