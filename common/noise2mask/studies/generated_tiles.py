"""Scores what a call of generation has written, against real tiles: files in, files out.

Legend: B masks, N images of each, M real tiles, T training tiles, H W size.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from ignite import distributed as idist
from monai.data import Dataset
from torch import Tensor

from ..data.item_paths import name_of
from ..data.tile_images import read_tiles
from ..explain.nearest_tiles import write_nearest_tiles
from ..handlers.generation_batch import GenerationBatch
from ..handlers.trained_on import digests_of, read_images
from ..meta import without_meta
from ..metrics.features import own_extractor, scripted_extractor
from ..metrics.generation_scores import generation_scores, write_generation_scores
from ..networks.reference_encoder import ReferenceEncoder

logger = logging.getLogger(__name__)


def score_generated(
    batch: GenerationBatch,
    samples: int,
    real: Dataset,
    training: Dataset,
    encoder: ReferenceEncoder,
    model_file: str | Path,
    features: str | Path | None = None,
    features_size: int | None = None,
    features_range: Sequence[float] = (-1.0, 1.0),
) -> None:
    """Write generation_scores.json, nearest_tiles.csv and nearest_tiles.png into the batch's folder.

    Args:
        batch:          whose images are written.
        samples:        N.
        real:           gives items with an `image` (3, H, W) in [0, 1]: held-out tiles, prepared as those of training.
        training:       the same of the tiles that the network was trained on.
        model_file:     the weights; how much of both sets they were trained on is counted, where that is known.
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
    device = encoder.project.weight.device
    extractor = (
        own_extractor(encoder) if features is None else scripted_extractor(features, features_size, (low, high), device)
    )
    names = [item["name"] for item in batch.items]
    paths = [batch.folder / "images" / f"{name}_{n}.png" for name in names for n in range(samples)]
    generated, trained = read_tiles(paths), _tensor(training)  # (B N, 3, H, W), (T, 3, H, W)
    patients = [batch.known(item)["patient"] for item in batch.items]
    scores = generation_scores(generated.unflatten(0, (-1, samples)), _tensor(real), trained, extractor, patients)
    nearest = scores["memorisation"]["nearest"]
    write_nearest_tiles(nearest, generated, trained, batch.folder / "nearest_tiles.png")
    for row in nearest:  # files in place of numbers
        row |= {
            "generated": paths[row["generated"]].name,
            "training": Path(name_of(training.data[row["training"]])).name,
        }
    scores["counts"] |= _known(model_file, {"real": real, "training": training})
    write_generation_scores(scores, batch.folder)
    distance = scores["frechet_distance"]["generated"]
    logger.info(f"Frechet distance {distance:.4f} of features by {extractor.name} -> {batch.folder}")


def check_square(image_size: Sequence[int]) -> None:
    """Raise ValueError where tiles are not square: they could not be turned in the search for copies."""
    if image_size[0] != image_size[1]:
        raise ValueError(f"image_size is {list(image_size)}, expected a square to score: generate without scores.")


def _known(model_file: str | Path, sets: Mapping[str, Dataset]) -> dict[str, int]:
    """How many tiles of each set the weights were trained on; nothing where that is not known."""
    known = read_images(model_file)
    if known is None:
        return {}
    counts = {name: sum(digest in known for digest in digests_of(items.data)) for name, items in sets.items()}
    if counts["real"]:
        logger.warning(f"{counts['real']} of the {len(sets['real'])} real tiles were trained on: they hide copies")
    return {f"{name}_trained_on": count for name, count in counts.items()}


def _tensor(items: Dataset) -> Tensor:
    """Images of items -> (M, 3, H, W), uint8."""
    return torch.stack([_bytes(items[number]["image"]) for number in range(len(items))])


def _bytes(image: Tensor) -> Tensor:
    """In [0, 1] -> uint8, one tile at a time: a set of 7000 of 256 x 256 is 5 GB as floats."""
    return (without_meta(image) * 255).round().clamp(0, 255).to(torch.uint8)
