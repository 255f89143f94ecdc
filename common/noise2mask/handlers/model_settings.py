"""What inference must repeat of a training, written beside the weights: `model.yaml` beside `model.pt`.

It is an overlay over inference.yaml. With other grey values, another size or another target the weights would load all
the same, and the masks would be wrong without a word.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ignite import distributed as idist

from ..bundles import SHARED, TAUGHT, settings_file
from ..diffusion.views import AS_IT_IS
from ..files import write_text_atomically
from .resolved_config import difference, fingerprint

logger = logging.getLogger(__name__)

TEACHES = "random"  # the augmentation that shows images as views at inference do


def write_settings(config: Mapping[str, Any], model_file: str | Path) -> None:
    """Write what of a resolved config inference must repeat; nothing where there is no config.

    Where augmentation has not shown the network images so, views at inference are the image as it is: written, too,
    lest those of a config below it stay.
    """
    settings = {name: config[name] for name in SHARED if name in config}
    untaught = [] if config.get("augmentation", TEACHES) == TEACHES else list(AS_IT_IS)
    if not config.get("flip", 1):
        untaught.append("flips")
    settings |= {name: AS_IT_IS[name] for name in untaught if name in settings}
    if settings:
        head = f"# How {Path(model_file).name} was trained: over inference.yaml, so that it is used in the same way.\n"
        text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None)
        write_text_atomically(head + text, settings_file(model_file))


def tell_other_settings(config: Mapping[str, Any], model_file: str | Path) -> None:
    """Warn where inference has settings otherwise than the weights were taught, by what stands beside them."""
    path = settings_file(model_file)
    if not config or not path.is_file() or idist.get_rank() > 0:
        return
    trained = yaml.safe_load(path.read_text(encoding="utf-8"))
    taught = [name for name in TAUGHT if name in trained]
    found, own = (fingerprint({name: some.get(name) for name in taught}) for some in (trained, config))
    if other := difference(found, own):
        logger.warning(
            f"warning: {Path(model_file).name} was trained otherwise, and masks may be wrong: {'; '.join(other)}. "
            f"Give {path} behind the other configs."
        )
