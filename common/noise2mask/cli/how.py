"""How a bundle is run: what the commands that use weights have in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class How(NamedTuple):
    """What was not given stays as the bundle has it."""

    weights: Path | None  # a model.pt; None: the bundle's own
    presets: Sequence[str]  # names of configs/presets
    sampling: Mapping[str, Any]  # steps, samples, seed
    settings: Sequence[str]  # name=value, of any config
