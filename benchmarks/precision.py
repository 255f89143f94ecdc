"""A training step, forward and backward, in float32 against bfloat16, with the networks of the preset `compact`.

python benchmarks/precision.py
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from side_by_side import header, ratio

from noise2mask.diffusion.precision import PrecisionInferer

BUNDLES = Path(__file__).parents[1] / "bundles"
ROWS: dict[
    str, tuple[str, tuple[str, ...], int, tuple[int, ...]]
] = {  # bundle, overlays, images in a batch, their size
    "PGDiffSeg": ("pgdiffseg", (), 8, (128, 128)),
    "MedSegDiff": ("medsegdiff", (), 8, (128, 128)),
    "MedSegDiff-V2": ("medsegdiff_v2", (), 8, (128, 128)),
    "MedSegDiff-V2, volumes": ("medsegdiff_v2", ("presets/volumes",), 2, (48, 32, 48)),
    "BasicUNet": ("medsegdiff", ("presets/basic_unet",), 8, (128, 128)),
}


def main() -> None:
    """One line for each network."""
    header()
    for title, (bundle, overlays, batch, size) in ROWS.items():
        slow, fast = (step(bundle, overlays, batch, size, precision) for precision in ("float32", "bfloat16"))
        ratio(f"{title}, {batch} images of {' x '.join(map(str, size))}", slow, fast, runs=3)


def step(
    bundle: str,
    overlays: tuple[str, ...],
    batch: int,
    size: tuple[int, ...],
    precision: str,
    settings: Mapping[str, Any] | None = None,
) -> Callable[[], None]:
    """Gradients of one batch of noise; the loss is the mean square."""
    configs = BUNDLES / bundle / "configs"
    config = ConfigParser()
    config.read_config([str(configs / f"{name}.yaml") for name in ("train", *overlays)])
    config.update(dict(settings or {}))
    network = config.get_parsed_content("network").train()
    classes, channels = (config.get_parsed_content(name, default=1) for name in ("out_channels", "network_channels"))
    x, image = torch.randn(batch, classes, *size), torch.randn(batch, channels, *size)
    inferer = PrecisionInferer(precision)

    def work() -> None:
        network.zero_grad()
        output: dict[str, Any] = inferer(x, network, timesteps=torch.arange(batch), context=image)
        output["prediction"].float().square().mean().backward()

    return work


if __name__ == "__main__":
    main()
