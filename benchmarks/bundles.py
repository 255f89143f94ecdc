"""What a mask costs in each bundle that segments, with its own sampler, steps and samples, at one image size.

python benchmarks/bundles.py --size 64

The networks are the preset `compact`, as drawn, and the inferers those of inference.yaml; all in turn, in one run.
"""

import argparse
import statistics
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from side_by_side import header, seconds

from noise2mask.diffusion.denoiser import Denoiser
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.samplers import evaluations

BUNDLES = Path(__file__).parents[1] / "bundles"
NAMES = ("diffusiondci_segmentation", "pgdiffseg", "medsegdiff", "medsegdiff_v2")  # the first is what others divide by


def main() -> None:
    """One line for each bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=int, default=64, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    header()
    parts = {name: made(name) for name in NAMES}
    images = {name: torch.zeros(1, channels, options.size, options.size) for name, (_, _, channels) in parts.items()}
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(options.rounds + 1):
        for name, (network, inferer, _) in parts.items():
            times[name].append(seconds(lambda n=network, i=inferer, x=images[name]: i(x, n)))
    for name, (network, inferer, _) in parts.items():
        own = times[name][1:]  # the first round warms up
        ratio = statistics.median(a / b for a, b in zip(own, times[NAMES[0]][1:], strict=True))
        weights = sum(weight.numel() for weight in network.parameters()) / 1e6
        what = f"{inferer.samples} samples of {evaluations(inferer.sampler, len(inferer.timesteps))} evaluations"
        print(f"{name:28}{weights:6.1f} M{statistics.median(own) * 1000:10.1f} ms{ratio:8.2f}x  {what}", flush=True)


def made(bundle: str) -> tuple[Denoiser, EnsembleInferer, int]:
    """The network of `compact`, the inferer that goes with it, and the image's channels."""
    config = ConfigParser()
    config.read_config(str(BUNDLES / bundle / "configs" / "inference.yaml"))
    config["progress"] = False
    network: Denoiser = config.get_parsed_content("network_def").eval()
    channels = next((name for name in ("network_channels", "in_channels") if name in config), None)
    return network, config.get_parsed_content("inferer"), config.get_parsed_content(channels) if channels else 1


if __name__ == "__main__":
    main()
