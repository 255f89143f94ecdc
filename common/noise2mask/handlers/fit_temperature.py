"""Finds the temperature of a network's probabilities on images with labels, which must not be those of the test.

Legend: K classes, S spatial sizes.
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from scipy.optimize import minimize_scalar
from torch import Tensor

from ..data.structures import without_background
from ..diffusion.temperature import tempered
from ..files import check_writable, write_text_atomically
from ..meta import without_meta
from ..metrics.calibration import calibration_bins, expected_calibration_error
from ..ranks import gathered
from ..spread import evenly

logger = logging.getLogger(__name__)

PIXELS = 20_000  # of each image, evenly spread: neighbours say the same
BOUNDS = (0.2, 10.0)


class FitTemperature:
    """`calibration.json`: the temperature with the least negative log-likelihood, and what it does to these images.

    It expects decollated output with `probability` and `label` (K, *S) at the images' own size, sampled with
    temperature 1.

    Args:
        output_dir: where the file goes.
        exclusive:  classes exclude one another; pixels whose label has no class do not count.

    Raises:
        ValueError: where the folder can not be written to, or the engine's inferer has another temperature.
    """

    def __init__(self, output_dir: str, exclusive: bool = False) -> None:
        self.path = Path(output_dir) / "calibration.json"
        check_writable(self.path.parent)
        self.exclusive = exclusive
        self.pixels: list[tuple[Tensor, Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Collect after every batch; fit at the end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.save)

    def start(self, engine: Engine) -> None:
        """See that nothing is tempered yet."""
        inferer: Any = engine.inferer
        if inferer.temperature != 1:
            found = f"temperature is {inferer.temperature:g}, expected 1, to which the one that is found belongs"
            raise ValueError(f"{found}: put calibrate.yaml behind model.yaml, and give no temperature.")
        self.pixels.clear()

    def collect(self, engine: Engine) -> None:
        """Some pixels of each image."""
        outputs: Any = engine.state.output
        for item in outputs:
            probability, label = (without_meta(item[name]).cpu().flatten(1) for name in ("probability", "label"))
            if self.exclusive:
                labelled = label.any(dim=0)  # (pixels,)
                probability, label = probability[:, labelled], label[:, labelled]
            chosen = evenly(probability.shape[1], PIXELS)
            self.pixels.append((probability[:, chosen].float(), label[:, chosen].float()))  # (K, pixels) each

    def save(self, engine: Engine) -> None:
        """The file, by the first rank."""
        parts = gathered(self.pixels)
        if idist.get_rank() > 0:
            return
        probability, label = (torch.cat([part[k] for part in parts], dim=1)[None] for k in (0, 1))  # (1, K, pixels)
        temperature = fitted(probability, label, self.exclusive)
        errors = [
            expected_calibration_error(
                calibration_bins(
                    *(
                        without_background(x[0], self.exclusive)
                        for x in (tempered(probability, t, self.exclusive), label)
                    )
                )
            )
            for t in (1.0, temperature)
        ]
        content = {"temperature": temperature, "images": len(parts), "expected_calibration_error": errors}
        write_text_atomically(json.dumps(content, indent=2) + "\n", self.path)
        said = f"calibration error of these {len(parts)} images {errors[0]:.4f}, with it {errors[1]:.4f}"
        logger.info(f"temperature {temperature:g}: {said} -> {self.path}")


def fitted(probability: Tensor, label: Tensor, exclusive: bool = False) -> float:
    """The temperature, to two digits after the point.

    Args:
        probability: (1, K, pixels) in [0, 1].
        label:       the same in {0, 1}.
        exclusive:   see `tempered`.
    """

    def negative_log_likelihood(temperature: float) -> float:
        p = tempered(probability, temperature, exclusive).double().clamp(1e-12, 1 - 1e-12)  # (1, K, pixels)
        found = label * p.log() if exclusive else label * p.log() + (1 - label) * (1 - p).log()
        return -found.sum().item()

    found = minimize_scalar(negative_log_likelihood, bounds=BOUNDS, method="bounded", options={"xatol": 1e-3})
    return round(float(found.x), 2)
