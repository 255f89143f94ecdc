"""Figure 8 of PGDiffSeg: what its prior-supervision network looks at when it says that there is a lesion.

Legend: B = 1 image, h w size of the last unit's map.
"""

import logging
from typing import Any

import torch
from torch import Tensor

from ..diffusion.inferer import evaluated
from ..files import write_text_atomically
from ..metrics.score_files import csv_text
from ..networks.pgdiffseg import PGDiffSeg
from .attention import beside
from .grad_cam import heat_maps, scaled
from .heat import heat_inside, heated
from .seen import Seen
from .strip import write_strip
from .subject import Subject

logger = logging.getLogger(__name__)


class PriorFigures:
    """Of a `PGDiffSeg` `prior.png`, a row per case: image, label, Grad-CAM of the classifier, location map.

    The classifier is explained by the last unit's map, of several classes the most probable one. Beside it `prior.csv`.

    Args:
        subject: what is looked into; its inferer finds a mask where there is no label.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, self.folder = subject, subject.folder

    def run(self) -> list[dict[str, Any]]:
        """Look, draw, write; the rows of the table, none of a network without a prior branch."""
        network = self.subject.network
        if not isinstance(network, PGDiffSeg):
            logger.info(f"{type(network).__name__} has no prior branch: its figure is left out")
            return []
        pictures, rows = [], []
        for seen in self.subject.cases():
            heat, logits, location = prior_map(network, seen.image)  # (1, h, w), (1, classes), (1, 1, H, W)
            own = [heated(seen.picture, scaled(heat)[0].numpy()), heated(seen.picture, location[0, 0].numpy())]
            said, (names, side) = _said(logits), beside(seen)
            words = ", ".join(
                f"P({name.removeprefix('probability_').removeprefix('of_')}) {value:.2f}"
                for name, value in said.items()
            )
            pictures.append((f"{seen.name}\n{words}", [*side, *own]))
            rows.append({"case": seen.name, **said, **_inside(seen, heat, location)})
        titles = [*names, "Grad-CAM", "location map"]
        title = "prior-supervision network: what it looks at (each map in its own scale) and its location map"
        write_strip(pictures, titles, self.folder / "prior.png", title)
        write_text_atomically(csv_text(rows), self.folder / "prior.csv")
        return rows


def prior_map(network: PGDiffSeg, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the prior branch makes of images.

    Args:
        network: in any mode, which it is left in.
        image:   (B, C, H, W).

    Returns:
        Heat map (B, h, w) from 0 up, logits (B, classes), location map (B, 1, H, W) in [0, 1], on the CPU.
    """
    last = f"prior.units.{len(network.prior.units) - 1}"
    said: dict[str, Tensor] = {}

    def classify() -> Tensor:
        said.update(network.prior(image))
        return said["classification"].amax(dim=1)  # (B,)

    with evaluated(network):
        heat = heat_maps(network, [last], classify)[last]  # (B, h, w)
        with torch.no_grad():
            location = network.coarse(network.encode(image))  # (B, 1, H, W)
    return heat.cpu(), said["classification"].detach().cpu(), location.cpu()


def _said(logits: Tensor) -> dict[str, float]:
    """The classifier's probabilities, of (1, classes)."""
    if logits.shape[1] == 1:
        return {"probability_of_lesion": float(logits.sigmoid())}
    return {f"probability_{k}": float(value) for k, value in enumerate(logits.softmax(dim=1)[0])}


def _inside(seen: Seen, heat: Tensor, location: Tensor) -> dict[str, float]:
    """Which part of both maps lies in the lesion."""
    maps = {"heat_in_lesion": heat[0], "location_in_lesion": location[0, 0]}
    return {name: heat_inside(own.numpy(), seen.lesion) for name, own in maps.items()}
