"""What inference must repeat of a training, written beside the weights: `model.yaml` beside `model.pt`.

It is an overlay over inference.yaml. With other grey values, another size or another target the weights would load all
the same, and the masks would be wrong without a word.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..bundles import SHARED, settings_file
from ..files import write_text_atomically

VIEWS, TEACHES = ("flips", "zooms"), "random"  # at inference, and the augmentation that has shown images so


def write_settings(config: Mapping[str, Any], model_file: str | Path) -> None:
    """Write what of a resolved config inference must repeat; nothing where there is no config.

    Views at inference are left out where augmentation has not shown the network images so.
    """
    untaught = () if config.get("augmentation", TEACHES) == TEACHES else VIEWS
    settings = {name: config[name] for name in SHARED if name in config and name not in untaught}
    if settings:
        head = f"# How {Path(model_file).name} was trained: over inference.yaml, so that it is used in the same way.\n"
        text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None)
        write_text_atomically(head + text, settings_file(model_file))
