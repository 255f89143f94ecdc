"""What MedSegDiff-V2 takes from the image: the anchor, the gates of U-SA, and the NBP filter over the timesteps.

Legend: B = 1 image, K classes, H W size, S modules of the SS-Former, h heads, U radii of frequencies.
"""

import logging
from typing import Any, cast

import numpy as np
import torch

from ..diffusion.inferer import evaluated
from ..diffusion.trace import foreground
from ..files import write_text_atomically
from ..metrics.score_files import csv_text
from ..networks.medsegdiff_v2 import MedSegDiffV2
from .attention import beside
from .heat import heat_inside, resized
from .seen import Seen
from .strip import write_strip
from .subject import Subject

logger = logging.getLogger(__name__)


class AnchorFigures:
    """Of a `MedSegDiffV2` `anchor.png`, a row per case, and `nbp_filter.png`, a row per module, a column per timestep.

    A CSV stands beside each.

    Args:
        subject: what is looked into.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, self.folder = subject, subject.folder
        self.network = cast(MedSegDiffV2, subject.network)

    def run(self) -> list[dict[str, Any]]:
        """Look, draw, write; the rows of the table of cases, none of a network without an anchor."""
        if not isinstance(self.network, MedSegDiffV2):
            logger.info(f"{type(self.network).__name__} has no anchor: its figures are left out")
            return []
        pictures, rows, names, gates = [], [], list[str](), list[str]()
        for seen in self.subject.cases():
            maps = self._maps(seen)  # by name (H, W)
            gates = [name for name in maps if name != "anchor"]
            names, side = beside(seen)
            pictures.append((f"{seen.name}{seen.where}", [*side, *maps.values()]))
            inside = {f"{name}_in_lesion": heat_inside(own, seen.lesion) for name, own in maps.items()}
            rows.append(
                {"case": seen.name, **inside, **{f"{name}_mean": float(own.mean()) for name, own in maps.items()}}
            )
        titles = [*names, "anchor", *gates]
        write_strip(pictures, titles, self.folder / "anchor.png", "anchor: probability of any structure; gates of U-SA")
        write_text_atomically(csv_text(rows), self.folder / "anchor.csv")
        self._filters(seen)
        return rows

    @torch.no_grad()
    def _maps(self, seen: Seen) -> dict[str, np.ndarray]:
        """The anchor's probability and the gates, (H, W) in [0, 1] each."""
        with evaluated(self.network):
            condition = self.network.encode(seen.image)
            coarse = self.network.coarse(condition)  # (1, K, H, W[, D])
        anchor = seen.shown((foreground(2 * coarse - 1, self.network.exclusive) + 1) / 2)[0]  # (H, W)
        size = seen.picture.shape[:2]
        gates = {name: own[0, 0] for name, own in condition.items() if name.startswith("gate_")}
        return {"anchor": anchor} | {name: resized(seen.shown(own), size) for name, own in gates.items()}

    @torch.no_grad()
    def _filters(self, seen: Seen) -> None:
        """Mean over the heads of how much of each pair of frequencies passes, by module and timestep."""
        steps = [timestep for timestep, _ in self.subject.states(seen.image)]
        if self.network.former is None or self.network.former.filter is None or not steps:
            return
        with evaluated(self.network):
            condition = self.network.encode(seen.image)
            each = [self.network.at(condition, torch.tensor([t], device=self.subject.device))["filters"] for t in steps]
        filters = torch.cat(each).float().mean(dim=2).cpu().numpy()  # (T, S, U, U)
        low, high = float(filters.min()), float(filters.max())
        scaled = (filters - low) / max(high - low, 1e-6)
        pictures = [(f"module {k + 1}", list(scaled[:, k])) for k in range(filters.shape[1])]
        range_ = f"dark {low:.3f}, bright {high:.3f} (1 lets all pass)"
        title = f"NBP filter by frequency, 0 top left: the query's downwards, the key's to the right; {range_}"
        write_strip(pictures, [f"t = {t}" for t in steps], self.folder / "nbp_filter.png", title)
        table = [
            {
                "module": k + 1,
                "timestep": t,
                "mean": float(own.mean()),
                "low": float(own.min()),
                "high": float(own.max()),
            }
            for t, modules in zip(steps, filters, strict=True)
            for k, own in enumerate(modules)
        ]
        write_text_atomically(csv_text(table), self.folder / "nbp_filter.csv")
