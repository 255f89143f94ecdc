"""The weights that a training ends with, and what stands beside them: `model.pt`, `model.yaml`, `model_images.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..files import atomic_file
from .model_settings import write_settings
from .trained_on import write_images


def save_model(content: Any, model_file: str | Path, config: Mapping[str, Any], images: Sequence[str]) -> None:
    """Write all three, over what another training may have left.

    A kill in between leaves no weights: with the settings of another training they would load, and the masks would be
    wrong without a word. A disk that is full leaves what was there, as the weights are by far the largest.

    Args:
        content:    weights, plain tensors and values.
        model_file: where they go.
        config:     resolved, of which inference repeats some.
        images:     digests of what was trained on.
    """
    path = Path(model_file)
    with atomic_file(path) as file:
        torch.save(content, file)
        file.flush()
        path.unlink(missing_ok=True)
        write_settings(config, path)
        write_images(images, path)
