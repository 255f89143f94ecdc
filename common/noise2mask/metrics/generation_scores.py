"""All scores of generated tiles in one dict for JSON: near to real ones, diverse, and no copies (DiffusionDCI, IV).

Sets that are compared as wholes are thinned to one number, since the Frechet distance depends on it (see
`frechet_distance`). What training tiles themselves score against the same real ones stands beside: a perfect generator
scores about as much. Neither has an interval: tiles that are drawn twice change a Frechet distance. Means over masks
have one, which draws patients.

Legend: B masks, N samples of each, M real tiles, T training tiles, H W size, F features.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import write_text_atomically
from .feature_diversity import feature_diversity
from .features import Extractor
from .frechet_distance import frechet_distance
from .interval import over_patients
from .mean_discrepancy import mean_discrepancy
from .memorisation import Tiles, memorisation
from .ms_ssim import ms_ssim
from .score_files import csv_text, without_nan

PAIRED_MASKS = 200  # that MS-SSIM is taken of: at 256 x 256 the 45 pairs of ten samples take seconds on a CPU
NEAREST, SCORES = "nearest_tiles.csv", "generation_scores.json"


def generation_scores(
    generated: Tensor, real: Tensor, training: Tensor, extractor: Extractor, patients: Sequence[str] | None = None
) -> dict[str, Any]:
    """Scores of N samples for each of B masks.

    Args:
        generated: (B, N, 3, H, W), uint8 or in [0, 1], square.
        real:      (M, 3, H, W), M at least 2, held out of the training, of other patients.
        training:  (T, 3, H, W), T at least 2, what the generating network was trained on.
        extractor: of the features.
        patients:  whose each mask is; None: each of another one.

    Returns:
        Plain values; None where there is no score, such as the diversity of a single sample. The keys:

        extractor, counts:       what the scores depend on; `compared` is the number of tiles in each thinned set.
        frechet_distance, mmd:   each of `generated` and of `training`, against the real ones; less is better.
        diversity, ms_ssim:      mean over masks with its interval; more and less is more diverse.
        memorisation:            of `memorisation`.

    Raises:
        ValueError: where shapes or values are others.
    """
    masks, samples = _checked(generated, real, training, patients)
    owners = list(patients or map(str, range(masks)))
    flat = generated.flatten(0, 1)  # (B N, 3, H, W), the samples of a mask side by side
    own, held_out = (Tiles(images, extractor(images)) for images in (flat, real))
    compared = min(len(flat), len(real), len(training))
    sets = {"generated": thinned(own.features, compared), "training": extractor(thinned(training, compared))}
    against = thinned(held_out.features, compared)
    counts = {"masks": masks, "samples": samples, "real": len(real), "training": len(training), "compared": compared}
    each = [owner for owner in owners for _ in range(samples)]
    return without_nan(
        {
            "extractor": extractor.described(),
            "counts": counts,
            "frechet_distance": {name: frechet_distance(features, against) for name, features in sets.items()},
            "mmd": {name: mean_discrepancy(features, against) for name, features in sets.items()},
            **_diversity(generated, own.features.unflatten(0, (masks, samples)), owners),
            "memorisation": memorisation(own, held_out, training, extractor, each),
        }
    )


def write_generation_scores(scores: dict[str, Any], folder: Path) -> None:
    """`generation_scores.json`, and `nearest_tiles.csv` with the nearest training tile of each generated one."""
    copies = dict(scores["memorisation"])
    (folder / SCORES).unlink(missing_ok=True)  # so that a kill leaves no scores of other tiles than those beside it
    write_text_atomically(csv_text(copies.pop("nearest")), folder / NEAREST)
    write_text_atomically(json.dumps({**scores, "memorisation": copies}, indent=2), folder / SCORES)


def thinned(rows: Tensor, count: int) -> Tensor:
    """Of (Q, ...) as many as count, in equal steps from the first to the last; the same ones every time."""
    return rows[torch.linspace(0, len(rows) - 1, count, dtype=torch.float64).round().long()]


def _diversity(generated: Tensor, features: Tensor, owners: list[str]) -> dict[str, Any]:
    """(B, N, 3, H, W), (B, N, F) -> mean over masks of both measures, or None where N is 1."""
    if generated.shape[1] < 2:
        return {"diversity": None, "ms_ssim": None}
    chosen = thinned(torch.arange(len(generated)), min(PAIRED_MASKS, len(generated)))
    alike = over_patients(ms_ssim(generated[chosen]).tolist(), [owners[place] for place in chosen.tolist()])
    return {
        "diversity": over_patients(feature_diversity(features).tolist(), owners)._asdict(),
        "ms_ssim": {**alike._asdict(), "masks": len(chosen)},
    }


def _checked(generated: Tensor, real: Tensor, training: Tensor, patients: Sequence[str] | None) -> tuple[int, int]:
    """B and N."""
    if generated.ndim != 5 or not generated.numel():
        raise ValueError(
            f"Generated tiles have shape {tuple(generated.shape)}, expected (B, N, 3, H, W): make some for each mask."
        )
    masks, samples = generated.shape[:2]
    fewest = min(masks * samples, len(real), len(training))
    if fewest < 2:
        found = f"{masks * samples} generated, {len(real)} real and {len(training)} training tiles"
        raise ValueError(f"There are {found}, expected two of each at least: give more.")
    if patients is not None and len(patients) != masks:
        raise ValueError(f"There are {len(patients)} patients of {masks} masks, expected one for each: give all.")
    return masks, samples
