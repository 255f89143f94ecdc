"""What the page shows of a training: its curves, its last pictures, and whether the results are of its weights."""

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import yaml
from PIL import Image

from .charts import axis_of, line_chart
from .curves import Curve
from .sources import MODEL, PROGRESS, Training

MOST_SIDE = 1200  # pixels of the progress picture: a screen shows no more, and it counts towards the page's size
NETWORK = "network_def::_target_"  # in the settings of results


def shown_training(training: Training, facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the template needs of a training.

    Args:
        training: that was read.
        facts:    of the results beside it; None: there are none.
    """
    picture, damaged = _picture(training.picture)
    warnings = [f"There are no readable curves in {training.folder}."] if not training.curves else []
    warnings += [f"{training.folder / PROGRESS} is damaged: {damaged}."] if damaged else []
    same, other = ("", []) if facts is None else belonging(training, facts)
    return {
        "folder": str(training.folder),
        "same": same,
        "warnings": [*other, *warnings],
        "charts": [_chart(tag, curve) for tag, curve in training.curves.items()],
        "picture": picture,
        "settings": training.settings,
    }


def belonging(training: Training, facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Whether results were made with the best weights of a training: in words where they were, else as warnings."""
    own, theirs = _network(training), str((facts.get("config") or {}).get(NETWORK, "")).strip("'\"")
    others = []
    if own and theirs and own != theirs:
        others = [f"This training is of another network ({_class(own)}) than these results ({_class(theirs)})."]
    weights = facts.get("weights")
    if weights and training.weights and weights == training.weights:
        return "These results were made with this training's best weights.", others
    if weights and training.weights:
        return "", [*others, "These results were made with other weights than this training's best."]
    why = f"there is no {training.folder / MODEL}" if weights else "the results do not say which weights made them"
    return "", [*others, f"Whether these results are of this training's weights is not known: {why}."]


def _network(training: Training) -> str:
    """The class that model.yaml names; empty where it names none."""
    try:
        settings = yaml.safe_load(training.settings)
    except yaml.YAMLError:
        return ""
    definition = settings.get("network_def") if isinstance(settings, dict) else None
    return str(definition.get("_target_", "")) if isinstance(definition, dict) else ""


def _class(target: str) -> str:
    return target.rsplit(".", 1)[-1]


def _chart(tag: str, curve: Curve) -> dict[str, Any]:
    known = [(x, y) for x, y in zip(curve.steps, curve.values, strict=True) if math.isfinite(y)]
    xs, ys = [x for x, _ in known], [y for _, y in known]
    svg = line_chart(f"{tag} over the training", axis_of(curve.axis, xs), axis_of(tag, ys), xs, ys)
    means = f"each point the mean of {curve.averaged} {curve.axis}s" if curve.averaged > 1 else ""
    last = f"last value {ys[-1]:.4g}" if ys else "no finite value"
    return {"tag": tag, "svg": svg, "words": ", ".join(filter(None, (last, means)))}


def _picture(content: bytes | None) -> tuple[str, str]:
    """A data URI of the progress picture, empty where there is none; and what is wrong with it, empty: nothing."""
    if content is None:
        return "", ""
    try:
        image = Image.open(io.BytesIO(content)).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # of Pillow, for damaged files
        return "", type(error).__name__
    image.thumbnail((MOST_SIDE, MOST_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", ""
