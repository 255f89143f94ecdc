"""Whether generated tiles are copies of training tiles: the nearest training tile of each, against that of real ones.

Nearest is by 1 - cosine of features, and how far its pixels are is measured after that. A training tile that is
mirrored or turned by quarters, eight ways in all, is the same tile. Distances say little by themselves: tissue looks
like tissue. So the same search is made for real tiles that were held out of the training, and a generated tile counts
as suspicious where it is at least as near as the nearest 5 % of them. A model that copies nothing has about 5 % of such
tiles; many more are copies, or little diversity. Held-out tiles of the training's slides make the limit too low, and
hide copies: split by patient.

Legend: Q tiles that are looked up, T training tiles, S side of a tile, F features.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.symmetry import SYMMETRIES, laid
from ..data.tile_images import unit_range
from .features import Extractor, unit_length
from .interval import over_patients

SHARE = 0.05  # of held-out tiles that are as near as a suspicious one
AT_ONCE = 256  # training tiles that are compared with all others in one product
QUANTILES = {"least": 0.0, "q05": 0.05, "median": 0.5, "q95": 0.95}


class Tiles(NamedTuple):
    """Images (Q, 3, S, S), uint8 or in [0, 1], and their features (Q, F)."""

    images: Tensor
    features: Tensor


class Nearest(NamedTuple):
    """Of each of Q tiles: distance to its nearest training tile, which one it is, and which way it was turned."""

    distance: Tensor  # (Q,), 1 - cosine, 0 to 2
    place: Tensor  # (Q,)
    way: Tensor  # (Q,), as of `laid`


def memorisation(
    generated: Tiles, held_out: Tiles, training: Tensor, extractor: Extractor, owners: Sequence[str] | None = None
) -> dict[str, Any]:
    """The nearest training tile of every generated one, closest first, and the share of suspicious ones.

    Args:
        generated: of one size with the others, square.
        held_out:  real tiles that were not trained on, of other patients.
        training:  (T, 3, S, S), as the images of `Tiles`.
        extractor: that made the features.
        owners:    patient or mask of each generated tile, between which the share's interval draws; None: each its own.

    Returns:
        For JSON. limit: the distance that is suspicious; suspicious: share with its interval; quantiles of both
        distances of generated and of held-out tiles; nearest: dicts of the places of both tiles, way, distance,
        pixel_rms (root mean square difference, 0 to 1) and suspicious.

    Raises:
        ValueError: where tiles are not square, sizes differ, or there are none.
    """
    for images in (generated.images, held_out.images, training):
        _check(images, training)
    found = _nearest_training(torch.cat([generated.features, held_out.features]), training, extractor)
    own, real = (Nearest(*(part[rows] for part in found)) for rows in _parts(len(generated.features)))
    limit = float(torch.quantile(real.distance, SHARE))
    flags = own.distance <= limit
    owners = owners or [str(place) for place in range(len(flags))]
    pixels = {"generated": pixel_rms(generated.images, training, own)}
    pixels["held_out"] = pixel_rms(held_out.images, training, real)
    return {
        "limit": limit,
        "expected_share": SHARE,
        "suspicious": over_patients(flags.float().tolist(), owners)._asdict(),
        "distance": {"generated": _quantiles(own.distance), "held_out": _quantiles(real.distance)},
        "pixel_rms": {name: _quantiles(values) for name, values in pixels.items()},
        "nearest": _closest_first(own, pixels["generated"], flags),
    }


def nearest_rows(queries: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Queries (Q, F), rows (R, F), all of length 1 -> least 1 - cosine (Q,), and the row (Q,) that has it."""
    distance, place = (1 - queries @ rows.T).min(dim=1)
    return distance.clamp(min=0), place


def _nearest_training(features: Tensor, training: Tensor, extractor: Extractor) -> Nearest:
    """(Q, F), (T, 3, S, S) -> nearest of all tiles in all ways; in memory are the features of AT_ONCE tiles."""
    queries = unit_length(features.double())  # 1 - cosine of near copies has few digits left in float32
    found = Nearest(torch.full_like(queries[:, 0], torch.inf), *torch.zeros(2, len(queries), dtype=torch.long))
    for way in range(SYMMETRIES):
        for start in range(0, len(training), AT_ONCE):
            rows = extractor(laid(training[start : start + AT_ONCE], way))  # (at most AT_ONCE, F)
            distance, place = nearest_rows(queries, unit_length(rows.double()))
            nearer = distance < found.distance
            here = (distance, place + start, torch.full_like(place, way))
            found = Nearest(*(torch.where(nearer, new, old) for new, old in zip(here, found, strict=True)))
    return found


def pixel_rms(images: Tensor, training: Tensor, nearest: Nearest) -> Tensor:
    """(Q, 3, S, S) -> (Q,): root mean square difference from the nearest training tile as it was turned, 0 to 1."""
    pairs = zip(images, nearest.place.tolist(), nearest.way.tolist(), strict=True)
    differences = (unit_range(one[None]) - unit_range(laid(training[[place]], way)) for one, place, way in pairs)
    return torch.stack([difference.square().mean().sqrt() for difference in differences])


def _check(images: Tensor, training: Tensor) -> None:
    if not len(images):
        raise ValueError("There are no tiles to compare: give generated, held-out and training tiles.")
    if images.shape[1:] != training.shape[1:] or images.shape[-1] != images.shape[-2]:
        found = f"Tiles have the shapes {tuple(images.shape[1:])} and {tuple(training.shape[1:])}"
        raise ValueError(f"{found}, expected (3, S, S) twice, square: scale them to one size.")


def _parts(count: int) -> tuple[slice, slice]:
    return slice(count), slice(count, None)


def _quantiles(values: Tensor) -> dict[str, float]:
    return {name: float(torch.quantile(values, share)) for name, share in QUANTILES.items()}


def _closest_first(nearest: Nearest, pixels: Tensor, flags: Tensor) -> list[dict[str, Any]]:
    columns = {"training": nearest.place, "way": nearest.way, "distance": nearest.distance, "pixel_rms": pixels}
    columns = {"generated": torch.arange(len(flags)), **columns, "suspicious": flags}
    order = torch.sort(nearest.distance, stable=True).indices
    rows = zip(*(column[order].tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
